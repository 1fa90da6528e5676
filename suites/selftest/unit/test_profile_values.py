"""What a profile says that cannot be meant: each is reported with its place before anything is tried."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnitest.conformance.model import profile, shipped
from cnitest.errors import ConfigError

CONF = "conf: {cniVersion: 1.0.0, name: n, type: bridge}\n"
WRONG = {
    "versions: [0.4.0, 1.0]": "2:19: versions[1]: there is no version '1.0' of the specification; did you mean '1.0.0'",
    "versions: [7]": "2:12: versions[0]: there is no version '7' of the specification; there are 0.1.0, ",
    'leftover: ["files ("]': "2:12: leftover[0]: 'files (' is no regular expression: missing )",
    "mounts: {etc/my: ./profile.yaml}": "2:10: mounts['etc/my']: 'etc/my' is no place on the host: write an abs",
    "mounts: {/etc/my: ./no}": "2:10: mounts['/etc/my']: './no': there is no ",
    "topology: nowhere": "2:11: topology: no topology is called 'nowhere'. Shipped: ",
    "topology: node-with-uplink\nhost: nod": "3:7: host: node-with-uplink has no host 'nod'. Did you mean 'node'?",
}


@pytest.mark.parametrize("words", WRONG)
def test_a_value_that_cannot_be_meant_is_reported(tmp_path: Path, words: str):
    """A version that would leave itself out, a pattern that is none, a place and a host that are not there."""
    file = tmp_path / "profile.yaml"
    file.write_text(f"{CONF}{words}\n")

    with pytest.raises(ConfigError) as caught:
        profile.load(file)

    assert str(caught.value).startswith(f"{file}:{WRONG[words]}")


def test_what_is_shipped_is_right():
    """Every profile that is shipped can be read."""
    assert all(profile.load(file).network for file in shipped.profiles().values())


def test_commands_of_a_profile_are_split_as_a_shell_does(tmp_path: Path):
    """Quotes hold words together; what only a shell understands is reported with the command that has one."""
    file = tmp_path / "cnitest.yaml"
    file.write_text("""conf: {cniVersion: 1.0.0, name: n, type: x}\nhost_setup: ["sh -c 'echo a b > /run/x'"]\n""")

    assert profile.load(file).setting.host_setup == (("sh", "-c", "echo a b > /run/x"),)

    file.write_text("conf: {cniVersion: 1.0.0, name: n, type: x}\nhost_setup: [echo a > /run/x, 'sh -c \"x', '  ']\n")
    with pytest.raises(ConfigError) as raised:
        profile.load(file)

    shell = "'echo a > /run/x' wants a shell, which does not read it. Did you mean ['sh', '-c', 'echo a > /run/x']?"
    assert [line.partition(": host_setup[")[2] for line in str(raised.value).splitlines()] == [
        f"0]: {shell}",
        "1]: 'sh -c \"x' cannot be split into words: no closing quotation",
        "2]: '  ' is empty; write a command",
    ]
