"""sbr's duties besides traffic: results passed on, rejections, what DEL takes back, what CHECK has to notice."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import check_alone, delete_without_namespace, ready_sandbox, rejected
from cnitest.suites.plugins.node_networks import settled
from cnitest.suites.plugins.uplinks import address, answers_by, attached, gateway, plain, routed

from cnitest import PluginError, difference
from cnitest.testing import Reply, ScriptedPlugin

pytestmark = [
    pytest.mark.requires(kernel="macvlan", plugin=["sbr", "macvlan", "static"]),
    pytest.mark.topology("three_uplinks.yaml"),
]


def own_rules(sandbox):
    """The rules that are for a source."""
    return [rule.source for rule in sandbox.rules if rule.source]


@pytest.mark.covers("sbr", "kernel")
def test_the_result_is_passed_on(cni, node):
    """The result is that of the plugin before: sbr makes nothing that it would have to name."""
    attachment = attached(cni, node, routed(1))[0]
    calls = [call for call in cni.calls if call.command == "ADD"]

    assert [call.plugin for call in calls] == ["macvlan", "sbr"]
    assert attachment.addresses == (address(1, 4), address(1, 6))
    assert [(link.name, link.sandbox) for link in attachment.result.interfaces] == [("eth1", attachment.sandbox.path)]


@pytest.mark.covers("sbr", "kernel", "packet")
def test_addresses_of_no_named_interface(lab, cni, node, tmp_path):
    """The index of an address's interface is optional: one without is the link's, and gets its rule."""
    before = ScriptedPlugin.install(tmp_path, "without-index")
    cni.path = (*cni.path, str(tmp_path))
    ips = [{"address": f"{address(2, 4)}/24", "gateway": gateway(2, 4)}, {"address": f"{address(2, 6)}/64"}]
    before.program({"ADD": Reply(result={"cniVersion": "1.0.0", "ips": ips}), "DEL": Reply()})
    link, sbr = routed(2)["plugins"]
    network = {"cniVersion": "1.0.0", "name": "uplink2", "plugins": [link, {"type": "without-index"}, sbr]}

    sandbox = attached(cni, node, plain(1), network)[0].sandbox

    assert own_rules(sandbox) == [f"{address(2, 4)}/32", f"{address(2, 6)}/128"]
    assert answers_by(lab.host("client").ping(address(2, 4))) == "eth2"


@pytest.mark.covers("sbr", "kernel")
def test_addresses_of_another_interface_that_is_named_first(cni, node, tmp_path):
    """A result with two links of the container: the addresses of CNI_IFNAME alone get rules, wherever it stands."""
    before = ScriptedPlugin.install(tmp_path, "of-two-links")
    cni.path = (*cni.path, str(tmp_path))
    links = [{"name": name, "sandbox": node.sandbox("c1").path} for name in ("eth1", "eth2")]
    ips = [{"address": f"{address(of, 4)}/24", "gateway": gateway(of, 4), "interface": of - 1} for of in (1, 2)]
    result = {"cniVersion": "1.0.0", "interfaces": links, "ips": ips}
    before.program({"ADD": Reply(result=result), "DEL": Reply()})
    link, sbr = routed(2)["plugins"]
    network = {"cniVersion": "1.0.0", "name": "uplink2", "plugins": [link, {"type": "of-two-links"}, sbr]}

    sandbox = attached(cni, node, plain(1), network)[0].sandbox

    assert own_rules(sandbox) == [f"{address(2, 4)}/32"]


@pytest.mark.covers("sbr", "refused")
def test_alone_it_is_refused(cni, node):
    """Without a plugin before it there is no link and no result to work on: an error."""
    network = {"cniVersion": "1.0.0", "name": "alone", "type": "sbr"}

    assert rejected(cni, node.sandbox("c1"), network)


@pytest.mark.covers("sbr", "refused")
def test_a_version_without_chaining_is_refused(cni, node):
    """Versions before 0.3.0 have no plugin before another: an error."""
    network = {"cniVersion": "0.2.0", "name": "old", "type": "sbr"}

    assert rejected(cni, node.sandbox("c1"), network)


@pytest.mark.covers("sbr", "kernel", "packet")
@pytest.mark.parametrize("version", ["0.3.0", "0.3.1", "0.4.0", "1.0.0"])
def test_every_version_that_has_chaining(lab, cni, node, version):
    """From 0.3.0 on each version of the specification is answered in its own form, with the same effect."""
    network = {**routed(2), "cniVersion": version}

    attachment = attached(cni, node, plain(1), network)[1]

    assert attachment.result.cni_version == version
    assert lab.host("client").ping(address(2, 4))
    assert len(own_rules(attachment.sandbox)) == 2


@pytest.mark.covers("sbr.table", "refused")
@pytest.mark.requires(plugin="sbr>=1.6.0")
@pytest.mark.parametrize("table", [-1, 0, 1 << 32, "main"])
def test_a_table_that_is_none_is_refused(cni, node, table):
    """What is no table's number is an error, and no rule is left."""
    rejected(cni, ready_sandbox(node, "c1"), routed(1, sbr={"table": table}), "eth1")

    assert own_rules(node.sandbox("c1")) == []


class TestDel:
    """What DEL takes back, whatever state it finds."""

    @pytest.mark.covers("sbr", "DEL")
    def test_the_container_is_as_before(self, cni, node):
        """After DEL there is no rule and no table of the link, and the others have lost nothing."""
        sandbox = attached(cni, node, routed(1))[0].sandbox
        before = settled(sandbox).state(firewall=False)

        cni.delete(cni.add(sandbox, routed(2), "eth2"))

        assert difference(before, sandbox.state(firewall=False)) == ()

    @pytest.mark.covers("sbr", "DEL")
    def test_twice(self, cni, node):
        """A second DEL succeeds."""
        attachment = attached(cni, node, routed(1))[0]
        cni.delete(attachment)

        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)
        assert own_rules(attachment.sandbox) == []

    @pytest.mark.covers("sbr", "DEL")
    def test_after_the_link_has_gone(self, cni, node):
        """DEL succeeds without the link, and its rules are gone with it."""
        attachment = attached(cni, node, routed(1))[0]
        attachment.sandbox.run(["ip", "link", "delete", "eth1"])

        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)
        assert own_rules(attachment.sandbox) == []

    @pytest.mark.covers("sbr", "DEL")
    def test_after_the_rules_have_gone(self, cni, node):
        """DEL succeeds when somebody has removed the rules already."""
        attachment = attached(cni, node, routed(1))[0]
        for family in ("-4", "-6"):
            attachment.sandbox.run(["ip", family, "rule", "flush"])

        cni.delete(attachment)

        assert [link.name for link in attachment.sandbox.links] == ["lo"]

    @pytest.mark.covers("sbr", "DEL")
    def test_after_the_namespace_has_gone(self, cni, node):
        """DEL succeeds without the namespace, and makes no file where it was."""
        attachment = attached(cni, node, routed(1))[0]
        node.lose("c1")

        error = cni.delete(attachment, may_fail=True)

        assert node.run(["ls", "/run/netns"]).stdout == ""
        assert error is None, str(error)

    @pytest.mark.covers("sbr", "DEL")
    def test_without_a_namespace(self, cni, node):
        """DEL with an empty CNI_NETNS succeeds: there is nothing to look into."""
        attachment = attached(cni, node, routed(1))[0]

        delete_without_namespace(cni, attachment)

    @pytest.mark.covers("sbr", "DEL")
    def test_rules_of_others_stay(self, cni, node):
        """A rule that somebody made for another address is none of DEL's affairs."""
        attachment = attached(cni, node, routed(1))[0]
        attachment.sandbox.run(["ip", "rule", "add", "from", "198.51.100.7", "lookup", "100"])

        cni.delete(attachment)

        assert own_rules(attachment.sandbox) == ["198.51.100.7/32"]


class TestCheck:
    """CHECK agrees with what ADD made and with nothing else."""

    @pytest.mark.covers("sbr", "CHECK")
    def test_agrees_with_a_fresh_link(self, cni, node):
        """CHECK succeeds after ADD."""
        check_alone(cni, attached(cni, node, routed(1))[0], "sbr")

    @pytest.mark.covers("sbr", "CHECK")
    def test_agrees_when_routes_were_moved(self, cni, node):
        """CHECK of the whole list succeeds, too, when sbr has moved routes that the plugin before it had made."""
        cni.check(attached(cni, node, routed(1))[0])

    @pytest.mark.covers("sbr", "CHECK")
    @pytest.mark.parametrize("family", [4, 6])
    @pytest.mark.parametrize("tampering", ["rule removed", "table flushed", "rule of another table"])
    def test_notices(self, cni, node, tampering, family):
        """CHECK fails when an answer would no longer leave by its link."""
        attachment = attached(cni, node, routed(1, families=(family,)))[0]
        source, ip = f"from {address(1, family)}", f"ip -{family}"
        commands = {
            "rule removed": f"{ip} rule delete {source}",
            "table flushed": f"{ip} route flush table 100",
            "rule of another table": f"{ip} rule delete {source}; {ip} rule add {source} lookup 4242",
        }

        attachment.sandbox.run(["sh", "-c", commands[tampering]])

        try:
            check_alone(cni, attachment, "sbr")
        except PluginError:
            return
        pytest.fail("CHECK noticed nothing")
