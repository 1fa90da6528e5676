"""Limits of this process, which the programs that it starts have, too (setrlimit(2)): of open files and of memory."""

from __future__ import annotations

import resource

#: Open files that a small lab and a run's reports take at once, and what is asked for where more are allowed.
_FILES, _ENOUGH = 128, 1024


def why_too_few_files() -> str:
    """Why nothing can be tried, with what to do; empty where enough files may be open, if need be by raising the limit
    within what is allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= _FILES:
        return ""
    if hard == resource.RLIM_INFINITY or hard >= _FILES:
        allowed = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return ""
    return f"only {hard} files may be open at once, and a lab takes up to {_FILES}: ulimit -n {_ENOUGH}"


def memory() -> str:
    """What to say of a program that ended badly: that memory is limited for it; empty where it is not."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return ""
    return f"memory is limited here to {soft >> 20} MiB a process (RLIMIT_AS), which may be why: ulimit -v unlimited"
