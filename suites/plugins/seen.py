"""As whom a place was seen by whom it reached, and whether what it has open goes on."""

from __future__ import annotations

from cnitest import Connection, Reach


def source(reach: Reach) -> str:
    """The source that the far end saw; empty where the probe was not answered, whatever came there.

    Raises ProbeUnproven.
    """
    return (reach.source_seen or "") if reach else ""


def goes_on(connection: Connection) -> bool:
    """Whether a connection carries bytes both ways, those of its far end first.

    Translations and filters let them through only where the connection is remembered: what the near end sends could
    be taken for a new one. Raises DeadlineExceeded when they do not come, ProbeUnproven.
    """
    connection.far.send(b"first")
    return connection.receive(5) == b"first" and bool(connection.alive())
