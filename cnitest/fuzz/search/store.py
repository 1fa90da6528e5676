"""Where findings are kept between runs: Hypothesis's example databases, with scenarios as their values.

So they are replayed first, and shared as Hypothesis shares: a directory, a Redis server, several of them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.database import DirectoryBasedExampleDatabase, ExampleDatabase, MultiplexedDatabase

from cnitest import paths
from cnitest.errors import ConfigError
from cnitest.fuzz.model.scenario import Scenario, loads

_REDIS = ("redis://", "unix://")
_DAYS = 60


def keep_tables_apart() -> None:
    """Have Hypothesis keep the tables that it reads again in the user's cache, and not in the working directory, where
    nobody has said otherwise; in this process."""
    if not os.environ.get("HYPOTHESIS_STORAGE_DIRECTORY"):
        set_hypothesis_home_dir(paths.cache("hypothesis"))


class Store:
    """Findings of one subject, by its name, in a database of Hypothesis's."""

    def __init__(self, database: ExampleDatabase, subject: str) -> None:
        self._database = database
        self._key = f"cnitest fuzz {subject}".encode()

    def keep(self, scenario: Scenario) -> None:
        """Keep a scenario that shows something."""
        self._database.save(self._key, scenario.dumps().encode())

    def drop(self, scenario: Scenario) -> None:
        """Forget one that shows nothing any more."""
        self._database.delete(self._key, scenario.dumps().encode())

    def kept(self) -> list[Scenario]:
        """All that is kept, smallest first; what cannot be read is passed over."""
        found = []
        for value in self._database.fetch(self._key):
            try:
                found.append(loads(value.decode()))
            except ValueError:
                continue
        return sorted(found, key=lambda scenario: scenario.weight)


def database(places: list[str], default: Path) -> ExampleDatabase:
    """The database at some places: directories, and Redis servers as ``redis://HOST:PORT/DB`` or ``unix:///SOCKET``.

    All are written to.

    Raises ConfigError for a server that does not answer, or without the redis package.
    """
    found = [_one(place) for place in places] or [DirectoryBasedExampleDatabase(default)]
    return found[0] if len(found) == 1 else MultiplexedDatabase(*found)


def _one(place: str) -> ExampleDatabase:
    if not place.startswith(_REDIS):
        return DirectoryBasedExampleDatabase(place)
    try:
        from datetime import timedelta

        from hypothesis.extra.redis import RedisExampleDatabase
        from redis import Redis
        from redis.exceptions import RedisError
    except ImportError as error:
        raise ConfigError(f"{place}: the redis package is not here: pip install 'cnitest[redis]'") from error
    try:
        server: Any = Redis.from_url(place)
        server.ping()
    except ValueError as error:
        raise ConfigError(f"{place}: is no address of a Redis server: {error}") from error
    except RedisError as error:
        raise ConfigError(f"{place}: does not answer: {error}") from error
    return RedisExampleDatabase(server, expire_after=timedelta(days=_DAYS))
