"""Programs that prepare a guest's kernel end in time, or are named."""

from __future__ import annotations

import pytest

from cnitest.errors import GuestError
from cnitest.kernel.processes import programs
from cnitest.vm import images, modules, needs

HANGS = "#!/bin/sh\nexec sleep 60\n"


@pytest.fixture
def hanging(tmp_path, monkeypatch):
    """A program that never ends, found in place of each that unpacks or indexes; nobody waits long for it."""
    program = tmp_path / "hangs"
    program.write_text(HANGS)
    program.chmod(0o755)
    monkeypatch.setattr(programs, "find", lambda _: str(program))
    monkeypatch.setattr(needs, "depmod", lambda: str(program))
    monkeypatch.setattr(images, "UNPACKING", 0.1)
    monkeypatch.setattr(modules, "INDEXING", 0.1)
    return program


def test_a_program_that_unpacks_no_module_in_time_is_named(tmp_path, hanging):
    """The program, how much it was to unpack, and how long that was waited for."""
    packed = tmp_path / "a.ko.zst"
    packed.write_bytes(b"\x28\xb5\x2f\xfd")

    with pytest.raises(GuestError) as caught:
        images.module(packed)

    assert str(caught.value) == f"{hanging} did not unpack 4 bytes within 0.1 s"


def test_depmod_that_makes_no_index_in_time_is_named(tmp_path, hanging):
    """The kernel whose modules it was to index, and how long that was waited for."""
    tree = tmp_path / "6.1.0"
    tree.mkdir()

    with pytest.raises(GuestError) as caught:
        modules.indexed(tree, tmp_path / "place")

    assert str(caught.value) == "depmod made no index of 6.1.0's modules within 0.1 s"
