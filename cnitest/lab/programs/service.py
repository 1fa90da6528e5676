"""A service that a test plays: it answers on a port of TCP and UDP, of both families, and notes whom it saw."""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

from cnitest.deadline import scaled
from cnitest.errors import CommandError, is_ours
from cnitest.lab.arguments import checked

if TYPE_CHECKING:
    from cnitest.lab.place import Place

__tracebackhide__ = is_ours

_MOST = 1 << 16
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Peer(NamedTuple):
    """Someone who came: by which protocol, from where to which address, and what was sent.

    For TCP ``payload`` is all that has come over the connection until now.
    """

    protocol: str
    address: str
    port: int
    to: str
    payload: bytes


class Service:
    """Echoes what comes in on a port, or answers ``reply``, while the ``with`` block runs; `seen` has who came.

    The addresses are those that arrive here: after masquerading, that of who masquerades.
    """

    def __init__(self, place: Place, port: int, protocols: tuple[str, ...], reply: bytes | None) -> None:
        self.place = place
        self.port = port
        self._protocols = tuple(dict.fromkeys(protocols))
        self._reply = reply
        self._news = threading.Condition()
        self._seen: list[Peer] = []
        self._sockets: dict[int, tuple[socket.socket, str, int | None]] = {}

    def __enter__(self) -> Service:
        try:
            opened = self.place.namespace.run(self._open)
        except OSError as error:
            raise CommandError(f"{self.place.full_name}: port {self.port} cannot be listened on: {error}") from error
        self._poll = select.poll()
        for protocol, server in opened:
            self._add(server, protocol, None)
        self._wake, self._stop = socket.socketpair()
        self._poll.register(self._wake, select.POLLIN)
        self._thread = threading.Thread(target=self._serve, name="cnitest-service", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.send(b"x")
        self._thread.join()
        for one, _, _ in self._sockets.values():
            one.close()
        self._wake.close()
        self._stop.close()

    def __repr__(self) -> str:
        return f"<Service {'/'.join(self._protocols)} {self.port} at {self.place.full_name}: {len(self.seen)} seen>"

    @property
    def seen(self) -> tuple[Peer, ...]:
        """Who came until now, in order; a datagram is one each, and so is a connection."""
        with self._news:
            return tuple(self._seen)

    @property
    def peers(self) -> tuple[str, ...]:
        """The addresses of who came, each once, in the order they first did."""
        return tuple(dict.fromkeys(peer.address for peer in self.seen))

    @checked
    def wait_for(self, count: int = 1, timeout: float = 5.0) -> tuple[Peer, ...]:
        """Wait until so many came; `seen`. Raises CommandError that says who came when fewer did."""
        with self._news:
            if not self._news.wait_for(lambda: len(self._seen) >= count, scaled(timeout)):
                came = ", ".join(f"{p.protocol} from {p.address}:{p.port}" for p in self._seen) or "nobody"
                raise CommandError(f"{self!r}: timed out after {timeout:g} s: waiting for {count}; there came {came}")
            return tuple(self._seen)

    def _open(self) -> list[tuple[str, socket.socket]]:
        """A socket a protocol and family; to be called inside the namespace."""
        opened: list[tuple[str, socket.socket]] = []
        try:
            for protocol in self._protocols:
                for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                    server = socket.socket(family, _KINDS[protocol])
                    opened.append((protocol, server))
                    server.setblocking(False)
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(protocol == "tcp"))
                    _prepare(server, family)
                    server.bind((anywhere, self.port))
                    if protocol == "tcp":
                        server.listen(128)
        except OSError:
            for _, server in opened:
                server.close()
            raise
        return opened

    def _add(self, one: socket.socket, protocol: str, entry: int | None) -> None:
        self._sockets[one.fileno()] = (one, protocol, entry)
        self._poll.register(one, select.POLLIN)

    def _serve(self) -> None:
        while True:
            for fd, _ in self._poll.poll():
                if fd == self._wake.fileno():
                    return
                one, protocol, entry = self._sockets[fd]
                try:
                    if protocol == "udp":
                        self._answer(one)
                    elif entry is None:
                        self._accept(one)
                    else:
                        self._go_on(one, entry)
                except OSError:  # whoever came has gone again
                    if entry is not None:
                        self._forget(one)

    def _note(self, peer: Peer) -> int:
        with self._news:
            self._seen.append(peer)
            self._news.notify_all()
            return len(self._seen) - 1

    def _answer(self, one: socket.socket) -> None:
        data, controls, _, source = one.recvmsg(_MOST, 256)
        self._note(Peer("udp", _bare(source[0]), source[1], _destination(controls), data))
        # The answer leaves by the address that was asked.
        one.sendmsg(
            [data if self._reply is None else self._reply], [_same_source(each) for each in controls], 0, source
        )

    def _accept(self, server: socket.socket) -> None:
        one, source = server.accept()
        one.setblocking(False)
        entry = self._note(Peer("tcp", _bare(source[0]), source[1], _bare(one.getsockname()[0]), b""))
        self._add(one, "tcp", entry)

    def _go_on(self, one: socket.socket, entry: int) -> None:
        data = one.recv(_MOST)
        if not data:
            self._forget(one)
            return
        with self._news:
            known = self._seen[entry]
            self._seen[entry] = known._replace(payload=known.payload + data)
            self._news.notify_all()
        one.setblocking(True)
        one.settimeout(scaled(5.0))
        one.sendall(data if self._reply is None else self._reply)
        one.setblocking(False)

    def _forget(self, one: socket.socket) -> None:
        self._poll.unregister(one)
        del self._sockets[one.fileno()]
        one.close()


_PKTINFO = 8


def _prepare(server: socket.socket, family: int) -> None:
    if family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if server.type == socket.SOCK_DGRAM:
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            server.setsockopt(socket.IPPROTO_IP, _PKTINFO, 1)


def _destination(controls: list[tuple[int, int, bytes]]) -> str:
    """The address that a datagram was sent to."""
    for level, _, data in controls:
        if level == socket.IPPROTO_IP:
            return socket.inet_ntop(socket.AF_INET, data[8:12])
        if level == socket.IPPROTO_IPV6:
            return socket.inet_ntop(socket.AF_INET6, data[:16])
    return ""


def _same_source(control: tuple[int, int, bytes]) -> tuple[int, int, bytes]:
    """What makes an answer leave from the address that was asked."""
    level, kind, data = control
    if level == socket.IPPROTO_IP:
        return level, kind, bytes(4) + data[8:12] + bytes(4)
    return control


def _bare(address: str) -> str:
    return address.partition("%")[0]
