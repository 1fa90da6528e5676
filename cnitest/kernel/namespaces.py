"""Network namespaces without a name: a file descriptor and a netlink socket, gone when both are closed."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from cnitest.kernel.netlink import NetlinkSocket
from cnitest.kernel.syscalls import CLONE_NEWNET, CLONE_NEWNS, setns, unshare
from cnitest.kernel.traveller import Traveller

T = TypeVar("T")


class NetworkNamespace:
    """A network namespace that exists as long as this object (or a process in it) does."""

    def __init__(self, traveller: Traveller, fd: int, netlink: NetlinkSocket) -> None:
        self._traveller = traveller
        self._sockets: dict[str, socket.socket] = {}
        self._lock = threading.Lock()
        self.fd = fd
        self.netlink = netlink

    @classmethod
    def make(cls, traveller: Traveller, count: int) -> list[NetworkNamespace]:
        """Make ``count`` fresh namespaces in one trip. Raises OSError, EPERM without the privilege."""

        def errand() -> list[NetworkNamespace]:
            made = []
            for _ in range(count):
                unshare(CLONE_NEWNET)
                made.append(cls(traveller, open_own(traveller, "net"), NetlinkSocket()))
            return made

        return traveller.do(errand)

    def do(self, function: Callable[[], T]) -> T:
        """Run ``function`` inside this network namespace; it must be short (see `Traveller`)."""

        def errand() -> T:
            setns(self.fd, CLONE_NEWNET)
            return function()

        return self._traveller.do(errand)

    def kept(self, name: str, make: Callable[[], socket.socket]) -> socket.socket:
        """A socket of this namespace that is opened once and kept, for closing some kinds is slow."""
        with self._lock:
            found = self._sockets.get(name)
            if found is None:
                found = self._sockets[name] = self.do(make)
            return found

    @staticmethod
    def keep_in_each(namespaces: Sequence[NetworkNamespace], name: str, make: Callable[[], socket.socket]) -> None:
        """Open a socket that is kept in each of several namespaces, in one trip."""
        lacking = [namespace for namespace in namespaces if name not in namespace._sockets]
        if not lacking:
            return

        def errand() -> None:
            for namespace in lacking:
                setns(namespace.fd, CLONE_NEWNET)
                namespace._sockets[name] = make()

        lacking[0]._traveller.do(errand)

    def close(self) -> list[socket.socket]:
        """Drop our references; the sockets that are slow to close are returned for someone to close later."""
        self.netlink.close()
        os.close(self.fd)
        left, self._sockets = list(self._sockets.values()), {}
        return left


class MountNamespace:
    """A mount namespace that exists as long as this object (or a process in it) does."""

    def __init__(self, traveller: Traveller, fd: int) -> None:
        self._traveller = traveller
        self.fd = fd

    @classmethod
    def make(
        cls,
        traveller: Traveller,
        prepare: Callable[[], None],
        network: NetworkNamespace | None = None,
        base: MountNamespace | None = None,
    ) -> MountNamespace:
        """A copy of ``base`` (default: where the thread is), as ``prepare`` changes it from inside ``network``."""

        def errand() -> MountNamespace:
            if base is not None:
                setns(base.fd, CLONE_NEWNS)
            if network is not None:
                setns(network.fd, CLONE_NEWNET)
            unshare(CLONE_NEWNS)
            prepare()
            return cls(traveller, open_own(traveller, "mnt"))

        return traveller.do(errand)

    def do(self, function: Callable[[], T], network: NetworkNamespace) -> T:
        """Run ``function`` inside this mount namespace and ``network``; it must be short (see `Traveller`)."""

        def errand() -> T:
            setns(self.fd, CLONE_NEWNS)
            setns(network.fd, CLONE_NEWNET)
            return function()

        return self._traveller.do(errand)

    def close(self) -> None:
        """Drop our reference."""
        os.close(self.fd)


def open_own(traveller: Traveller, kind: str) -> int:
    """A descriptor of the namespace that the traveller is in now; to be called by the traveller."""
    return os.open(f"thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=traveller.proc)
