"""Files that a plugin which failed complains about, as each language words it, and what is advised."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.selftest.unit.made_cases import failed, subject

from cnitest.conformance.discover.preflight import StartFailure
from cnitest.conformance.discover.start_endings import causes

ABSENT = "no such file or directory"
WORDS = {
    "Go": ("open /run/mine/db: no such file or directory", ("/run/mine/db", ABSENT)),
    "bash": ("/x/mine: line 4: /run/mine/log: No such file or directory", ("/run/mine/log", ABSENT)),
    "dash": ("/x/mine: 3: cannot create /run/mine/log: Directory nonexistent", ("/run/mine/log", ABSENT)),
    "cat": ("cat: /etc/mine/subnet: No such file or directory", ("/etc/mine/subnet", ABSENT)),
    "touch": ("touch: cannot touch '/run/mine/x': No such file or directory", ("/run/mine/x", ABSENT)),
    "mkdir": ("mkdir: cannot create directory ‘/etc/hosts/x’: Not a directory", ("/etc/hosts/x", "not a directory")),
    "Python": ("FileNotFoundError: [Errno 2] No such file or directory: '/run/my db'", ("/run/my db", ABSENT)),
    "Node": ("Error: ENOENT: no such file or directory, open '/run/mine/x'", ("/run/mine/x", ABSENT)),
}
OTHERS = (
    "/x/mine: line 7: nft: command not found",
    "bash: /x/mine: /bin/zsh: bad interpreter: No such file or directory",
    "ls: cannot access 'mine': No such file or directory",
    "no such file or directory",
)


def failure(said: str) -> StartFailure:
    """An ADD that failed with some words on standard error."""
    call = replace(failed("ADD", ""), stdout=b"", stderr=said.encode())
    mine = subject("mine")
    return StartFailure(mine, "1.0.0", "mine", mine.conf, "", call, {}, {}, {}, (), {})


@pytest.mark.parametrize(("said", "named"), WORDS.values(), ids=WORDS)
def test_each_language_names_a_file(said: str, named: tuple[str, str]):
    """Path and reason, the reason as Go has it."""
    assert failure(said).named_files == (named,)


@pytest.mark.parametrize("said", OTHERS)
def test_what_names_no_file_of_a_host(said: str):
    """Programs, interpreters and relative paths are none."""
    assert failure(said).named_files == ()


@pytest.mark.parametrize("name", ["bash", "Python"])
def test_a_directory_that_a_plugin_does_not_make_is_a_cause(name: str):
    """What lies below /run is gone after a boot; elsewhere a profile puts there what a host has."""
    found = causes(failure(WORDS[name][0]))[0]

    assert found.startswith(f"{WORDS[name][1][0]}: {ABSENT}: what is below /run is gone after a boot: a plugin makes")
    assert "below /run" not in causes(failure(WORDS["cat"][0]))[0]
    assert "host_setup" in found
