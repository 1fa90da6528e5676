"""The command line of ``cnitest fuzz``: what cannot be asked for is reported in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnitest.cli import main


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bridge", "--time", "0"], "--time '0'"),
        (["bridge", "--time", "abc"], "--time 'abc'"),
        (["bridge", "--time", "-5s"], "--time"),
        (["bridge", "--examples", "0"], "--examples '0'"),
        (["bridge", "--examples", "many"], "--examples 'many'"),
        (["bridge", "--seed", "x"], "--seed 'x'"),
        (["bridge", "-n", "0"], "-n '0'"),
        (["bridge", "-n", "two"], "-n 'two'"),
        (["brigde"], "did you mean 'bridge'?"),
        (["./nowhere.conf"], "nowhere.conf"),
        (["text.conf"], "text.conf"),
        (["list.conflist"], "list.conflist"),
        (["missing.conf"], "no-such-plugin"),
        (["bridge", "--only", "nothing"], "--only"),
        (["bridge", "--cni-path-next", "/nowhere"], "--cni-path-next"),
        (["bridge", "--cni-path", "/nowhere"], "/nowhere"),
        (["bridge", "--database", "redis://127.0.0.1:1/0"], "redis://127.0.0.1:1/0"),
        (["bridge", "--database", "redis://:x"], "redis://:x"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """What cannot be asked for is one line on stderr and exit code 4; nothing is run, nothing written."""
    (tmp_path / "text.conf").write_text("this is no JSON")
    (tmp_path / "list.conflist").write_text("[]")
    (tmp_path / "missing.conf").write_text(json.dumps({"cniVersion": "1.0.0", "name": "n", "type": "no-such-plugin"}))
    monkeypatch.chdir(tmp_path)
    there = sorted(tmp_path.iterdir())

    try:
        code = main(["fuzz", *arguments])
    except SystemExit as end:  # argparse's own way out
        code = end.code  # type: ignore[assignment]

    out, err = capsys.readouterr()
    assert code == 4
    assert out == ""
    assert len(err.strip().splitlines()) == 1
    assert words in err
    assert sorted(tmp_path.iterdir()) == there
