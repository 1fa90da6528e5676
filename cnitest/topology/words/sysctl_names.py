"""Names of sysctls, written with dots or slashes, as sysctl(8) takes them."""

from __future__ import annotations


def parts(name: str) -> tuple[str, ...]:
    """A sysctl's name in its parts; where it is written with slashes, dots belong to a link's name."""
    return tuple(name.split("/" if "/" in name else "."))
