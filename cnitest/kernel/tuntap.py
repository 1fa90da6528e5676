"""Tap links; to be called by the thread. Numbers: include/uapi/linux/if_tun.h."""

from __future__ import annotations

import fcntl
import os
import struct

_TUNSETIFF, _TUNSETPERSIST, _TUNSETIFINDEX = 0x400454CA, 0x400454CB, 0x400454DA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000


def make_tap(name: str, ifindex: int) -> None:
    """Make a tap link that stays when nobody holds its device. Raises OSError."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, _TUNSETIFINDEX, struct.pack("=I", ifindex))
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("=16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
        fcntl.ioctl(device, _TUNSETPERSIST, 1)
    except OSError as error:
        raise OSError(error.errno, f"tap {name}: {error.strerror}") from error
    finally:
        os.close(device)
