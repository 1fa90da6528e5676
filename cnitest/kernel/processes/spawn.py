"""posix_spawn(3) as Python's own, but other threads of ours go on meanwhile.

Python's holds its lock until the new program runs. Where that program's start waits for an answer of another thread
of ours, that would be forever.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping, Sequence

_SET_SIGNALS, _SET_MASK, _SET_SESSION = 0x04, 0x08, 0x80
# Larger than the C library's structures are anywhere.
_ROOM = 1024

_libc = ctypes.CDLL(None)


def spawn(
    path: str, argv: Sequence[str], environment: Mapping[str, str], ends: Sequence[int], *, without: Sequence[int] = ()
) -> int:
    """Start a program in a session of its own with ``ends`` as its first descriptors; its pid. Raises OSError.

    Until the program runs, what is on the way to it has all our descriptors but ``without``.
    """
    actions, attributes, signals, none = (ctypes.create_string_buffer(_ROOM) for _ in range(4))
    _libc.posix_spawn_file_actions_init(actions)
    _libc.posix_spawnattr_init(attributes)
    try:
        for descriptor in without:
            _libc.posix_spawn_file_actions_addclose(actions, descriptor)
        for number, end in enumerate(ends):
            _libc.posix_spawn_file_actions_adddup2(actions, end, number)
        _libc.sigemptyset(none)
        _libc.sigemptyset(signals)
        _libc.sigaddset(signals, int(signal.SIGPIPE))
        _libc.posix_spawnattr_setsigmask(attributes, none)
        _libc.posix_spawnattr_setsigdefault(attributes, signals)
        _libc.posix_spawnattr_setflags(attributes, ctypes.c_short(_SET_SIGNALS | _SET_MASK | _SET_SESSION))
        pid = ctypes.c_int()
        texts = (_array(argv), _array([f"{name}={value}" for name, value in environment.items()]))
        refusal = _libc.posix_spawn(ctypes.byref(pid), os.fsencode(path), actions, attributes, *texts)
    finally:
        _libc.posix_spawn_file_actions_destroy(actions)
        _libc.posix_spawnattr_destroy(attributes)
    if refusal:
        raise OSError(refusal, os.strerror(refusal), path)
    return pid.value


def _array(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(texts) + 1))(*map(os.fsencode, texts), None)
