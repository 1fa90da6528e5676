"""Sockets that are waited for together, each with what is to be done when it is ready."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from contextlib import ExitStack
from types import TracebackType

from cnitest.kernel.namespaces import NetworkNamespace

READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT
#: What is done with the events of a socket.
Ready = Callable[[int], None]


class Sockets:
    """An epoll instance with a function for each socket. Those that it owns are closed at its end."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._undo = ExitStack()
        self._ready: dict[int, Ready] = {}

    def __enter__(self) -> Sockets:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()
        self._poll.close()

    def own(self, opened: socket.socket) -> socket.socket:
        """Close a socket at the end."""
        self._undo.callback(opened.close)
        return opened

    def watch(self, opened: socket.socket, events: int, ready: Ready) -> None:
        """Have ``ready`` called with the events of a socket, once it has some, or from now on another one."""
        fd = opened.fileno()
        if fd in self._ready:
            self._poll.modify(fd, events)
        else:
            self._poll.register(fd, events)
        self._ready[fd] = ready

    def leave(self, opened: socket.socket) -> None:
        """Wait for a socket no longer."""
        if self._ready.pop(opened.fileno(), None):
            self._poll.unregister(opened.fileno())

    def serve(self, seconds: float) -> bool:
        """Serve the sockets that are ready, or the first ones within so many seconds; whether there were any."""
        events = self._poll.poll(seconds)
        for fd, event in events:
            ready = self._ready.get(fd)
            if ready:
                ready(event)
        return bool(events)


class Namespaced:
    """Sockets that are kept open in namespaces, each watched once."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._known: dict[tuple[int, str], socket.socket] = {}

    def get(
        self,
        namespace: NetworkNamespace,
        name: str,
        make: Callable[[], socket.socket],
        ready: Callable[[socket.socket], Ready],
    ) -> socket.socket:
        """The socket of that name; when it is first asked for, ``ready`` says what is done with its events."""
        known = self._known.get((namespace.fd, name))
        if known is None:
            known = self._known[namespace.fd, name] = namespace.kept(name, make)
            self._sockets.watch(known, READABLE, ready(known))
        return known
