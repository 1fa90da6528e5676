"""Answers that contradict themselves, in the words of a complaint."""

from __future__ import annotations

import json
from pathlib import Path

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model import protocol
from cnitest.conformance.model.subject import Subject, Trial

PATH = ("/usr/lib/cni",)


def test_an_error_with_exit_code_0_is_reported_as_one(tmp_path: Path):
    """A document of an error with exit code 0 is named by its code and message, not as it stands."""
    program = tmp_path / "mine"
    program.write_text('#!/bin/sh\ncat >/dev/null; echo \'{"code": 4, "msg": "no such variable"}\'\n')
    program.chmod(0o755)
    conf = {"cniVersion": "1.0.0", "name": "net", "type": "mine"}
    (tmp_path / "net.conf").write_text(json.dumps(conf))
    mine = without_profile(tmp_path)

    with open_bench(Trial(mine, "1.0.0")) as bench:
        call = bench.add(bench.target())

    words = "exit code 0 with error code 4 (invalid environment variables): no such variable"
    assert protocol.success(call) == [f"{call.subject}: {words}"]
    assert protocol.rejection(call) == [f"{call.subject}: {words}"]


def without_profile(directory: Path) -> Subject:
    """The subject of the configuration there."""
    path = (str(directory), *PATH)
    return examine([source(directory / "net.conf", path)], path)[0]
