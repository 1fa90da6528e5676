"""How long tests took, as a file: a JSON object of seconds by node ID, which pytest-split reads and writes, too."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
from collections.abc import Iterator, Mapping

from cnitest import paths
from cnitest.errors import ConfigError

_DIGITS = 4
_MOST_BYTES = 64 << 20


def check(option: str, path: str) -> None:
    """Raise ConfigError where there is a file that has no durations, by the name of the ``option`` that was typed."""
    read(option, path)


def read(option: str, path: str) -> dict[str, float]:
    """Seconds by node ID; none where there is no file, as in a first run. Raises ConfigError for any other file."""
    try:
        found = json.loads(paths.read(path, _MOST_BYTES))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise _broken(option, path, str(error)) from None
    if not isinstance(found, dict):
        raise _broken(option, path, f"it has a {type(found).__name__}")
    for name, value in found.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
            raise _broken(option, path, f"{name!r} lasts {value!r}")
    return {name: float(value) for name, value in found.items()}


def _broken(option: str, path: str, why: str) -> ConfigError:
    wanted = 'a JSON object {"test.py::test_name": seconds, …}'
    return ConfigError(f"{option}: {path} is not {wanted}: {why}; remove it, and let a run write a new one")


def store(option: str, path: str, found: Mapping[str, float]) -> None:
    """Put durations into a file, beside those of other tests that are there. Runs on one machine may do so at once.

    Raises OSError, and ConfigError for a file of something else, by the ``option`` that was typed.
    """
    with _alone(os.path.dirname(path)):
        known = {**read(option, path), **{name: round(value, _DIGITS) for name, value in found.items()}}
        fresh = f"{path}.{os.getpid()}"
        try:
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump(known, file, indent=0, sort_keys=True, ensure_ascii=False)
                file.write("\n")
            os.replace(fresh, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(fresh)
            raise


@contextlib.contextmanager
def _alone(directory: str) -> Iterator[None]:
    """Nobody else who comes by here is in the directory meanwhile."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
