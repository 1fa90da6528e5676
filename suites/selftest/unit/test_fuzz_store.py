"""Where findings are kept: in Hypothesis's databases, one or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fuzz_strategies import scenario
from hypothesis.database import DirectoryBasedExampleDatabase, InMemoryExampleDatabase

from cnitest.errors import ConfigError
from cnitest.fuzz.search.store import Store, database


@pytest.fixture(params=["directory", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A database of Hypothesis's."""
    return DirectoryBasedExampleDatabase(tmp_path) if request.param == "directory" else InMemoryExampleDatabase()


def test_the_store_keeps_and_drops(place: Any):
    """What is kept comes back smallest first, once each, and only for its subject; what is dropped does not."""
    store, small, large = Store(place, "bridge"), scenario("ADD"), scenario("ADD", "DEL")
    for one in (large, small, large):
        store.keep(one)

    assert store.kept() == [small, large]
    assert Store(place, "ptp").kept() == []

    store.drop(small)

    assert store.kept() == [large]


def test_the_store_passes_over_what_it_cannot_read(place: Any):
    """Values that somebody else wrote are no violation."""
    store, one = Store(place, "bridge"), scenario("ADD")
    store.keep(one)
    for value in (b"\xff\xfe", b"{}", b"", b"[1]", b'{"networks": 7, "steps": 7}'):
        place.save(b"cnitest fuzz bridge", value)

    assert store.kept() == [one]


def test_several_databases_are_written_to(tmp_path: Path):
    """Of several places each has what was kept."""
    first, second = str(tmp_path / "one"), str(tmp_path / "two")
    Store(database([first, second], tmp_path / "usual"), "bridge").keep(scenario("ADD"))

    for place in (first, second):
        assert Store(database([place], tmp_path / "usual"), "bridge").kept() == [scenario("ADD")]


def test_a_server_that_is_not_there_is_reported(tmp_path: Path):
    """A Redis server that does not answer is one ConfigError."""
    pytest.importorskip("redis")

    with pytest.raises(ConfigError, match=r"redis://127.0.0.1:1/0: does not answer"):
        database(["redis://127.0.0.1:1/0"], tmp_path)
