"""What probes to a port have in common: whom they go to, how they are called, and what the far end sees of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnitest.kernel.namespaces import Kept
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import wire
from cnitest.lab.probe.base import canonical
from cnitest.lab.probe.options import Options

if TYPE_CHECKING:
    from cnitest.lab.place import Place


class PortProbe:
    """A probe to ``port`` of an address, which ``listener`` (or who has the address) receives at ``listener_port``."""

    name = ""
    protocol = 0  # the usual one of its kind of socket

    def __init__(
        self,
        sender: Place,
        address: str,
        port: int,
        listener: Place | None,
        listener_port: int,
        options: Options | None = None,
    ) -> None:
        self.sender = sender
        self.destination = canonical(address)
        self.what = f"{self.name} {self.destination} port {port} from {sender.full_name}"
        self.transport, self.port = self.name, port
        self.options = options or Options()
        self.source = self.options.source
        self.link: str | None = None
        self.size = 0
        self._listener, self.listener_port = listener, listener_port

    @property
    def far(self) -> Place | None:
        """The listener's place: the one that was named, or the one that has the address."""
        return self._listener or self.owner

    @property
    def owner(self) -> Place | None:
        """The place that has the address, None when the lab knows none."""
        return self.sender.lab.owner(self.destination.partition("%")[0], self.sender)

    @property
    def is_for_owner(self) -> bool:
        """Whether its far end is the place that has the address; where nobody named a listener it is."""
        return self._listener is None or self._listener is self.owner

    @property
    def kept(self) -> tuple[Kept, ...]:
        """None: each attempt has sockets of its own."""
        return ()

    def source_in(self, frame: Frame) -> str | None:
        """The source of what the far end received for its port."""
        headers = wire.read(frame.data)
        return headers.source if headers.destination_port == self.listener_port else None
