"""Kernels as files: the image, its version, and the form of it that boots quickest."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from cnitest import paths
from cnitest.errors import GuestError
from cnitest.kernel.processes import programs

_ELF, _SETUP = b"\x7fELF", b"HdrS"
#: Where an image of x86 has what (Documentation/arch/x86/boot.rst of the kernel): its sectors, its magic, the offset of
#: its version, and of its compressed kernel.
_SECTORS, _MAGIC, _VERSION, _PAYLOAD = 0x1F1, 0x202, 0x20E, 0x248
#: Seconds for a program to unpack a kernel or a module; tens of megabytes take less than one.
UNPACKING = 60.0


class Kernel(NamedTuple):
    """A kernel: ``image`` is what a boot loader takes, ``modules`` its ``lib/modules/VERSION`` (None: it has none, or
    nothing in it)."""

    image: Path
    version: str
    modules: Path | None


def there(place: Path) -> bool:
    """Whether a path is a kernel's image, or a directory with some."""
    return bool(_images(place)) if place.is_dir() else place.is_file() and _looks_like_one(place)


def _images(place: Path) -> list[Path]:
    return [path for pattern in ("boot/vmlinu[xz]*", "vmlinu[xz]*", "bzImage*") for path in place.glob(pattern)]


def _looks_like_one(file: Path) -> bool:
    try:
        with file.open("rb") as image:
            head = image.read(_MAGIC + 4)
    except OSError:
        return False
    return head.startswith(_ELF) or head[_MAGIC:] == _SETUP


def found(place: Path) -> Kernel:
    """The kernel of a directory (the newest of several), or of an image. Raises GuestError where there is none."""
    if place.is_file():
        return _of_image(place, place)
    if not place.is_dir():
        raise GuestError(f"the kernel {place}: there is no such file, directory or package{paths.advice(place)}")
    images = _images(place)
    if not images:
        raise GuestError(f"the kernel {place}: no kernel in it: looked for boot/vmlinuz-*, vmlinuz* and bzImage*")
    return max((_of_image(image, place) for image in images), key=lambda kernel: _by_number(kernel.version))


def _by_number(version: str) -> list[tuple[int, str]]:
    return [(int(word) if word.isdigit() else -1, word) for word in re.split(r"(\d+)", version)]


def _of_image(image: Path, place: Path) -> Kernel:
    version = _version(read(image), image)
    roots = [place, *place.parents, Path("/")]
    trees = [root / below / version for root in roots for below in ("lib/modules", "usr/lib/modules")]
    return Kernel(image, version, next(filter(_has_something, trees), None))


def _has_something(tree: Path) -> bool:
    """Whether a directory of modules is there, may be read, and is not empty as where all of them are built in."""
    try:
        return any(tree.iterdir())
    except OSError:
        return False


def read(image: Path) -> bytes:
    """An image's bytes. Raises GuestError where it cannot be read."""
    try:
        return image.read_bytes()
    except OSError as error:
        raise GuestError(f"the kernel {image} cannot be read: {error.strerror}") from None


def _version(data: bytes, image: Path) -> str:
    if data.startswith(_ELF):
        found = re.search(rb"Linux version (\S+) ", data)
        if found:
            return found[1].decode()
    elif data[_MAGIC : _MAGIC + 4] == _SETUP:
        if len(data) < _PAYLOAD + 8:
            raise GuestError(f"{image} is cut off: it has {len(data)} bytes; fetch it again")
        (offset,) = struct.unpack_from("<H", data, _VERSION)
        return data[offset + 0x200 :].split(b"\0", 1)[0].split(b" ", 1)[0].decode(errors="replace")
    raise GuestError(f"{image} is no Linux kernel for x86: name a vmlinuz, a bzImage or a vmlinux")


def quickest(data: bytes) -> bytes:
    """The unpacked kernel of an image, which starts some seconds sooner in an emulator; the image itself where it
    cannot be unpacked here, or cannot be started so."""
    unpacked = data if data.startswith(_ELF) else _payload(data)
    return unpacked if unpacked.startswith(_ELF) and _starts_unpacked(unpacked) else data


def _starts_unpacked(data: bytes) -> bool:
    """Whether an ELF kernel has the note PHYS32_ENTRY of Xen's, which is what QEMU enters it by."""
    return re.search(rb"\x04\0\0\0[\x04\x08]\0\0\0\x12\0\0\0Xen\0", data) is not None


def _payload(data: bytes) -> bytes:
    start = ((data[_SECTORS] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", data, _PAYLOAD)
    packed = data[start + offset : start + offset + length]
    try:
        return next((unpack(packed) for magic, unpack in _PACKED.items() if packed.startswith(magic)), b"")
    except (lzma.LZMAError, OSError, ValueError, zlib.error):
        return b""


def _xz(data: bytes) -> bytes:
    return lzma.LZMADecompressor().decompress(data)


def _gzip(data: bytes) -> bytes:
    return zlib.decompressobj(31).decompress(data)


def _bzip2(data: bytes) -> bytes:
    return bz2.BZ2Decompressor().decompress(data)


def _by(program: str) -> Callable[[bytes], bytes]:
    """What a program unpacks, of which Python has no module; nothing where it is not installed.

    What it makes raises GuestError when the program does not end in time.
    """

    def unpack(data: bytes) -> bytes:
        path = programs.find(program)
        if not path:
            return b""
        try:
            return subprocess.run([path, "-dc"], input=data, capture_output=True, timeout=UNPACKING).stdout
        except subprocess.TimeoutExpired:
            raise GuestError(f"{path} did not unpack {len(data)} bytes within {UNPACKING:g} s") from None

    return unpack


_PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xfd7zXZ\0": _xz,
    b"\x1f\x8b": _gzip,
    b"BZh": _bzip2,
    b"\x28\xb5\x2f\xfd": _by("zstd"),
    b"\x02\x21\x4c\x18": _by("lz4"),
}


def module(path: Path) -> bytes:
    """A module as the kernel loads it. Raises GuestError where it cannot be unpacked."""
    unpack = {".xz": lzma.decompress, ".gz": gzip.decompress, ".zst": _by("zstd")}.get(path.suffix, bytes)
    try:
        plain = unpack(path.read_bytes())
    except (lzma.LZMAError, OSError, EOFError, zlib.error) as error:  # gzip's own is an OSError
        raise GuestError(f"{path} cannot be unpacked: {error}") from None
    if not plain.startswith(_ELF):
        raise GuestError(f"{path} cannot be unpacked{'; install zstd' if path.suffix == '.zst' else ''}")
    return plain
