"""As whom a place was seen by whom it reached."""

from __future__ import annotations

from cnitest import Reach


def source(reach: Reach) -> str:
    """The source that the far end saw; empty where the probe was not answered, whatever came there.

    Raises ProbeUnproven.
    """
    return (reach.source_seen or "") if reach else ""
