"""CNI_ARGS change nothing that they do not ask for: a plugin that does otherwise with them is reported."""

from __future__ import annotations

import json

import pytest

from cnitest.conformance.bench.bench import open_bench
from cnitest.conformance.checks.calls import arguments
from cnitest.conformance.discover.examine import examine, source
from cnitest.conformance.model.finding import Finding, NotApplicable
from cnitest.conformance.model.subject import Trial

REAL = "/usr/lib/cni"
RANGES = [[{"subnet": "10.20.0.0/24"}], [{"subnet": "2001:db8:20::/64"}]]
# What each does behind the real plugin: on which calls, and to what.
_FLUSH = '%s nsenter --net="$CNI_NETNS" ip -6 address flush dev "$CNI_IFNAME" scope global; exit 0'
WITH_ARGUMENTS = '[ "$CNI_COMMAND$CNI_ARGS" = ADD ] || [ "$CNI_COMMAND" != ADD ] ||'
ALWAYS = '[ "$CNI_COMMAND" != ADD ] ||'

pytestmark = pytest.mark.requires(plugin=("bridge", "host-local"), binary="nsenter")


def concluded(tmp_path, name, lines):
    """Hold a plugin that a script of these lines takes the place of to the requirement; raises what its verdict is
    made of."""
    path = (str(tmp_path / "bin"), REAL)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / name
    program.write_text(f"#!/bin/sh\n{lines}\n")
    program.chmod(0o755)
    ipam = {"type": "host-local", "ranges": RANGES}
    conf = {"cniVersion": "1.0.0", "name": "net", "plugins": [{"type": "bridge", "isGateway": True, "ipam": ipam}]}
    file = tmp_path / "net.conflist"
    file.write_text(json.dumps(conf))
    (one,) = (each for each in examine([source(file, path)], path, versions=("1.0.0",)) if each.plugin == name)
    with open_bench(Trial(one, "1.0.0")) as bench:
        arguments.arguments_change_nothing_else(bench)
        bench.conclude()


def flushing(when):
    """A bridge whose container loses its IPv6 addresses, and whose result has them still."""
    return f"{REAL}/bridge || exit\n{_FLUSH % when}"


def test_an_address_that_goes_with_arguments_is_reported(tmp_path):
    """The result has it, and the container does not."""
    with pytest.raises(Finding) as raised:
        concluded(tmp_path, "bridge", flushing(WITH_ARGUMENTS))

    assert any(
        detail.startswith("with CNI_ARGS: the result has the address 2001:db8:20::2/64 on eth0, which has 10.20.0.2/24")
        for detail in raised.value.details
    )


def test_what_goes_without_arguments_too_is_another_requirement_s(tmp_path):
    """A result that is never true is reported by ADD-08 alone."""
    with pytest.raises(NotApplicable, match="ADD-08"):
        concluded(tmp_path, "bridge", flushing(ALWAYS))


def test_a_family_that_is_not_given_with_arguments_is_reported(tmp_path):
    """An IPAM plugin is held to the families that it gives without them."""
    four = '"ips": [{"address": "10.20.0.9/24", "gateway": "10.20.0.1"}]'
    lines = f"""[ "$CNI_COMMAND$CNI_ARGS" != ADD ] && [ "$CNI_COMMAND" = ADD ] || exec {REAL}/host-local
echo '{{"cniVersion": "1.0.0", {four}}}'"""

    with pytest.raises(Finding) as raised:
        concluded(tmp_path, "host-local", lines)

    assert raised.value.details == ("with CNI_ARGS: there is no IPv6 address, without them there is",)


@pytest.mark.parametrize("name", ["bridge", "host-local"])
def test_plugins_that_make_the_same_hold(tmp_path, name):
    """Nothing is reported of the real ones."""
    concluded(tmp_path, name, f"exec {REAL}/{name}")


@pytest.mark.requires(plugin="loopback")
def test_a_version_whose_results_have_no_addresses_is_compared_with_itself(tmp_path):
    """loopback gives addresses in 1.0.0, and in 0.2.0 in no form of that: with arguments or without."""
    file = tmp_path / "lo.conf"
    file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}))
    one, *_ = examine([source(file, (REAL,))], (REAL,), versions=("0.2.0", "1.0.0"))

    with open_bench(Trial(one, "0.2.0")) as bench:
        arguments.arguments_change_nothing_else(bench)
        bench.conclude()
