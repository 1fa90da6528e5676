"""Options that no command has: what was meant, where that can be told."""

from __future__ import annotations

import pytest

from cnitest.cli.commands import main


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("run --conf x.conf", "--conf; CONF is a positional argument: cnitest run CONF (see cnitest run --help)"),
        ("run --cni-conf=x.conf", "--cni-conf=x.conf; CONF is a positional argument: cnitest run CONF (see"),
        ("explain --topology x y z", "--topology; TOPOLOGY is a positional argument: cnitest explain TOPOLOGY (see"),
        ("run --cni-json=x.json", "--cni-json=x.json; did you mean '--json'? (see cnitest run --help)"),
        ("run --jsn x.json", "--jsn; did you mean '--json'? (see cnitest run --help)"),
        ("fuzz --conf x.conf", "--conf (see cnitest fuzz --help)"),
    ],
)
def test_an_option_that_there_is_not_says_what_was_meant(typed, words, capsys):
    """A positional argument, or the option by the command's own name; nothing where only the dashes are alike."""
    with pytest.raises(SystemExit) as ended:
        main(typed.split())

    assert ended.value.code == 4
    assert f"unrecognized arguments: {words}" in capsys.readouterr().err
