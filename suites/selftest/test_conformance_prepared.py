"""Profiles that prepare each container: what is prepared may serve one ADD alone, which is no plugin's failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks.calls import configuration, prevresult, variables
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import NotApplicable
from cnitest.conformance.model.subject import Trial

#: A plugin whose ADD uses up a file that its configuration names.
USES_UP = """#!/bin/sh
input=$(cat)
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}' ;;
ADD)
    device=$(echo "$input" | sed -n 's/.*"device": *"\\([^"]*\\)".*/\\1/p')
    rm "$device" 2>/dev/null || { echo '{"cniVersion": "1.0.0", "code": 100, "msg": "no device"}'; exit 1; }
    ip -n "${CNI_NETNS##*/}" link add "$CNI_IFNAME" type veth peer name other
    echo '{"cniVersion": "1.0.0", "interfaces": [{"name": "'"$CNI_IFNAME"'", "sandbox": "'"$CNI_NETNS"'"}]}' ;;
DEL) ip -n "${CNI_NETNS##*/}" link del "$CNI_IFNAME" 2>/dev/null; exit 0 ;;
esac
"""
PROFILE = """\
conf: {cniVersion: 1.0.0, name: n, type: uses-up, device: "/run/device-{container}"}
path: [.]
container_setup: ["touch /run/device-{container}"]
"""


@pytest.fixture
def prepared(tmp_path: Path) -> Trial:
    """The plugin with its profile."""
    (tmp_path / "uses-up").write_text(USES_UP)
    (tmp_path / "uses-up").chmod(0o755)
    (tmp_path / "cnitest.yaml").write_text(PROFILE)
    (subject,) = examine([source(tmp_path / "cnitest.yaml", ())], ())
    return Trial(subject, "1.0.0")


@pytest.mark.requires(binary="ip")
@pytest.mark.parametrize(
    "check", [variables.good_container_ids_are_taken, configuration.good_network_names_are_taken], ids=["ID", "name"]
)
def test_names_are_not_tried_where_a_second_add_cannot_succeed(prepared, check) -> None:
    """An ADD with nothing special about it fails as well, and that is why the requirement does not apply."""
    with open_bench(prepared) as bench, pytest.raises(NotApplicable, match="container_setup prepares serves one ADD"):
        check(bench)


@pytest.mark.requires(binary="ip")
def test_a_null_is_compared_with_an_add_that_had_as_little(prepared) -> None:
    """Both ADDs come after one that has used up what was prepared."""
    with open_bench(prepared) as bench:
        prevresult.null_is_no_result(bench)
        bench.conclude()
