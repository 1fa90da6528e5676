"""Programs that this machine lacks: who wanted them, which package has them, and that no plugin is to blame."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from cnitest.cni.calls.invoke import Call
from cnitest.conformance.model import protocol
from cnitest.fuzz.oracles import attached
from cnitest.kernel.processes import programs
from cnitest.lab.programs.programs import _advice
from cnitest.report.conformance import unstarted

GO = 'failed to locate {0}: exec: "{0}": executable file not found in $PATH'


def failed_add(program: str) -> Call:
    """An ADD of a plugin that wanted to start a program."""
    document = {"cniVersion": "1.0.0", "code": 999, "msg": GO.format(program)}
    return Call("odd", "ADD", "node", ("odd",), {}, "{}", json.dumps(document).encode(), b"", 1, 0.1)


def test_only_what_is_not_there_is_lacking():
    """What a plugin says is compared with the machine."""
    assert protocol.lacking_programs(f"{GO.format('no-such-program')}; {GO.format('sh')}") == ["no-such-program"]


@pytest.mark.parametrize(
    "said",
    [
        "/opt/cni/bin/mine: line 40: no-such-program: command not found",
        "sh: 1: no-such-program: not found",
        """  File "/usr/lib/python3.11/subprocess.py", line 1955, in _execute_child
FileNotFoundError: [Errno 2] No such file or directory: 'no-such-program'""",
    ],
    ids=["bash", "dash", "python"],
)
def test_programs_are_lacking_in_the_words_of_shells_and_python(said: str):
    """As plugins that are scripts say it; a link, or a file, that is not found is no program."""
    assert protocol.lacking_programs(said) == ["no-such-program"]
    assert protocol.lacking_programs("eth0: not found; [Errno 2] No such file or directory: 'conf'") == []


def test_no_plugin_is_blamed_for_a_program_that_is_not_there():
    """An ADD that fails for it refuses nothing; one that says so of a program that is there does."""
    assert attached.failures("refused", [failed_add("no-such-program")]) == []
    assert [found.rule for found in attached.failures("refused", [failed_add("sh")])] == ["refused"]


def test_the_package_is_named(monkeypatch: pytest.MonkeyPatch):
    """For a program that is known, where it is not there; a misspelt one is corrected, another left alone."""
    monkeypatch.setattr(programs, "PATH", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")

    said = [_advice(name) for name in ("ip6tables", "tc", "iptabels", "somebodys", "/usr/sbin/tc")]

    assert said == ["; apt-get install iptables", "; apt-get install iproute2", "; did you mean 'iptables'?", "", ""]


@pytest.mark.parametrize(
    ("there", "words"),
    [({"ip": "", "nft": ""}, "none; not ip, nft"), ({"ip": "/sbin/ip", "nft": ""}, "/sbin/ip; not nft")],
)
def test_a_host_without_programs(there: dict[str, str], words: str):
    """What is said of a network that cannot start has no list without a first word."""
    subject = SimpleNamespace(setting=SimpleNamespace(host="node", topology="t"), path=("/usr/lib/cni",))
    failure: Any = SimpleNamespace(subject=subject, links={}, inside={}, plugins=(), programs=there)

    assert [line.split(maxsplit=1)[1] for line in unstarted._host(failure) if "programs" in line] == [words]
