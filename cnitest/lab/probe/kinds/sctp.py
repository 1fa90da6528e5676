"""SCTP, where the kernel has it: an association over which a unique payload goes there and back."""

from __future__ import annotations

import socket
from collections.abc import Callable

from cnitest.errors import FeatureMissing
from cnitest.kernel import features
from cnitest.kernel.packet_socket import Frame
from cnitest.lab.probe import tunnels, wire
from cnitest.lab.probe.kinds.stream import StreamProbe


class SctpProbe(StreamProbe):
    """As a TCP probe, over SCTP's one-to-one sockets (RFC 6458 section 4). Raises FeatureMissing without SCTP."""

    protocol = wire.SCTP
    name = "sctp"

    @classmethod
    def require(cls) -> None:
        """Raises FeatureMissing, with the reason, where the kernel has no SCTP."""
        feature = features.kernel("sctp")
        if not feature.present:
            raise FeatureMissing(feature.why)

    def source_in(self, frame: Frame) -> str | None:
        """The source of what the far end received for its port."""
        headers = wire.read(frame.data)
        ours = headers.protocol == wire.SCTP and headers.destination_port == self.listener_port
        return headers.source if ours else None

    def matcher(self, client: socket.socket, payload: bytes) -> Callable[[Frame], bool]:
        """Frames of the association, by our port, or by the payload where that is translated."""
        port = client.getsockname()[1]

        def matches(frame: Frame) -> bool:
            error = wire.icmp_error(frame.data)
            return port in _ports(tunnels.inner(error[2] if error else wire.read(frame.data))) or payload in frame.data

        return matches

    def own_refusal(self, where: tuple[str | int, ...]) -> OSError | None:  # noqa: ARG002
        """Nothing: no segment of SCTP is thrown away by everybody who gets it."""
        return None


def _ports(headers: wire.Headers) -> tuple[int, ...]:
    """Source and destination port; none of another protocol."""
    return (headers.source_port, headers.destination_port) if headers.protocol == wire.SCTP else ()
