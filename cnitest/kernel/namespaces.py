"""Network namespaces without a name: a file descriptor and a netlink socket, gone when both are closed."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from cnitest.kernel.namespace_thread import NamespaceThread, Pending
from cnitest.kernel.rtnetlink.netlink import GONE, NETFILTER, NetlinkSocket
from cnitest.kernel.syscalls import CLONE_NEWNET, CLONE_NEWNS, setns, unshare

T = TypeVar("T")


class NetworkNamespace:
    """A network namespace that exists as long as this object (or a process in it) does."""

    def __init__(self, thread: NamespaceThread, fd: int, netlink: NetlinkSocket) -> None:
        self._thread = thread
        self._sockets: dict[str, socket.socket] = {}
        self._netlinks: dict[int, NetlinkSocket] = {}
        self._fd = fd
        self.netlink = netlink
        #: The generation of nftables' rules that was read last, and those rules (see `firewall.snapshot`).
        self.ruleset: tuple[int, Mapping[str, tuple[str, ...]]] = (0, {})

    @classmethod
    def begin(cls, thread: NamespaceThread) -> Pending[NetworkNamespace]:
        """Begin to make a fresh namespace; the call raises OSError, EPERM without the privilege."""

        def call() -> NetworkNamespace:
            unshare(CLONE_NEWNET)
            netlink = NetlinkSocket()
            try:
                return cls(thread, open_own(thread, "net"), netlink)
            except OSError:
                netlink.close()
                raise

        return thread.submit(call)

    @classmethod
    def make(cls, thread: NamespaceThread) -> NetworkNamespace:
        """A fresh namespace. Raises OSError, EPERM without the privilege."""
        return cls.begin(thread).result()

    @property
    def fd(self) -> int:
        """Its descriptor. Raises OSError once it was closed: the same number may be another namespace's by then."""
        if self._fd < 0:
            raise OSError(errno.EBADF, GONE)
        return self._fd

    @property
    def proc(self) -> int:
        """The /proc of the thread that enters namespaces, an fd: its ``thread-self/net`` is this namespace's."""
        return self._thread.proc

    def run(self, function: Callable[[], T]) -> T:
        """Run ``function`` inside this network namespace; it must be short (see `NamespaceThread`)."""

        def call() -> T:
            setns(self.fd, CLONE_NEWNET)
            return function()

        return self._thread.run(call)

    @property
    def netfilter(self) -> NetlinkSocket:
        """A netlink socket for the packet filter."""
        return self.netlink_of(NETFILTER)

    def netlink_of(self, family: int) -> NetlinkSocket:
        """A netlink socket of another family than routing's; opened once and kept, for the kernel closes them slowly.
        Raises OSError where the kernel has no such family."""
        if family not in self._netlinks:
            self._netlinks[family] = self.run(lambda: NetlinkSocket(family))
        return self._netlinks[family]

    def kept(self, name: str, make: Callable[[], socket.socket]) -> socket.socket:
        """A socket of this namespace that is opened once and kept, for closing some kinds is slow."""
        if name not in self._sockets:
            open_all([Kept(self, name, make)])
        return self._sockets[name]

    @property
    def kept_inodes(self) -> set[int]:
        """The inodes of the sockets that are kept, as ``/proc/net`` tells sockets apart."""
        return {os.fstat(each.fileno()).st_ino for each in list(self._sockets.values())}

    def close(self) -> list[socket.socket]:
        """Drop our references; the sockets that are slow to close are returned for someone to close later."""
        self.netlink.close()
        fd, self._fd = self._fd, -1
        os.close(fd)
        left = [*self._sockets.values(), *(netlink.detached for netlink in self._netlinks.values())]
        self._sockets, self._netlinks = {}, {}
        return left


class Kept(NamedTuple):
    """A socket that a namespace is to keep: its name there, and how it is made."""

    namespace: NetworkNamespace
    name: str
    make: Callable[[], socket.socket]


def open_all(wanted: Sequence[Kept]) -> None:
    """Open sockets in several namespaces in one call of the thread; those that are kept already stay."""
    lacking = [kept for kept in wanted if kept.name not in kept.namespace._sockets]
    if not lacking:
        return

    def call() -> None:
        for kept in lacking:
            if kept.name not in kept.namespace._sockets:  # somebody may have been quicker
                setns(kept.namespace.fd, CLONE_NEWNET)
                kept.namespace._sockets[kept.name] = kept.make()

    lacking[0].namespace._thread.run(call)


def run_each(calls: Sequence[tuple[NetworkNamespace, Callable[[], T]]]) -> list[T | OSError]:
    """Run functions, each inside its network namespace, in one call of the thread: what each returned, or the OSError
    that it raised. They must be short (see `NamespaceThread`)."""

    def call() -> list[T | OSError]:
        found: list[T | OSError] = []
        for namespace, function in calls:
            try:
                setns(namespace.fd, CLONE_NEWNET)
                found.append(function())
            except OSError as error:
                found.append(error)
        return found

    return calls[0][0]._thread.run(call)


class MountNamespace:
    """A mount namespace that exists as long as this object (or a process in it) does."""

    def __init__(self, thread: NamespaceThread, fd: int) -> None:
        self._thread = thread
        self.fd = fd

    @classmethod
    def make(
        cls,
        thread: NamespaceThread,
        prepare: Callable[[], None],
        network: NetworkNamespace | None = None,
        base: MountNamespace | None = None,
    ) -> MountNamespace:
        """A copy of ``base`` (default: where the thread is), as ``prepare`` changes it from inside ``network``."""

        def call() -> MountNamespace:
            if base is not None:
                setns(base.fd, CLONE_NEWNS)
            if network is not None:
                setns(network.fd, CLONE_NEWNET)
            unshare(CLONE_NEWNS)
            prepare()
            return cls(thread, open_own(thread, "mnt"))

        return thread.run(call)

    def run(self, function: Callable[[], T], network: NetworkNamespace, undo: Callable[[T], None] | None = None) -> T:
        """Run ``function`` inside this mount namespace and ``network``; it must be short, and is undone when nobody
        waits for it any more (see `NamespaceThread`)."""

        def call() -> T:
            setns(self.fd, CLONE_NEWNS)
            setns(network.fd, CLONE_NEWNET)
            return function()

        return self._thread.run(call, undo)

    def close(self) -> None:
        """Drop our reference."""
        os.close(self.fd)


def open_own(thread: NamespaceThread, kind: str) -> int:
    """A descriptor of the namespace that the thread is in now; to be called by the thread."""
    return os.open(f"thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=thread.proc)
