"""vrf's duties: what is rejected, what DEL takes back, what CHECK has to notice."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import check_alone, rejected
from cnitest.suites.plugins.vrf_networks import HOST, network, vrfs

from cnitest import PluginError, difference

pytestmark = [pytest.mark.topology(HOST), pytest.mark.requires(kernel=["vrf"], plugin=["vrf", "bridge", "host-local"])]


@pytest.mark.covers("vrf", "refused")
def test_an_interface_with_a_master_is_refused(node, cni):
    """An interface that is in another VRF already is rejected, by that VRF's name."""
    sandbox = node.sandbox("c1")
    wanted = network()
    wanted["plugins"].append({"type": "vrf", "vrfname": "blue"})

    assert "has already a master set: red" in rejected(cni, sandbox, wanted)


@pytest.mark.covers("vrf.vrfname", "refused")
def test_a_link_that_is_no_vrf_is_refused(node, cni):
    """A name that another link of the container has is rejected."""
    sandbox = node.sandbox("c1")
    sandbox.run(["ip", "link", "add", "red", "type", "bridge"])

    assert "red is not a VRF" in rejected(cni, sandbox, network())


@pytest.mark.parametrize("name", ["", "sixteen-letters0"])
@pytest.mark.covers("vrf.vrfname", "refused")
def test_names_that_no_link_can_have_are_refused(node, cni, name):
    """Without a name, and with one that no link can have, ADD is rejected, and no VRF is there."""
    said = rejected(cni, node.sandbox("c1"), network(vrf=name))

    assert ("numerical result out of range" if name else "valid vrf name") in said
    assert vrfs(node.sandbox("c1")) == {}


@pytest.mark.covers("vrf", "refused")
def test_alone_it_is_refused(node, cni):
    """It works on what plugins before it made: without a result ADD is rejected."""
    alone = {"cniVersion": "1.0.0", "name": "net", "type": "vrf", "vrfname": "red"}

    assert "missing prevResult" in rejected(cni, node.sandbox("c1"), alone)


class TestDel:
    """What DEL takes back."""

    @pytest.mark.parametrize("version", ["0.4.0", "1.0.0"])
    @pytest.mark.covers("vrf", "DEL", "CHECK")
    def test_add_check_del(self, node, cni, version):
        """After ADD, CHECK and DEL the container is as before, but for the rules that the kernel makes with the first
        VRF, and keeps."""
        inside = node.sandbox("c1").state()
        attachment = cni.add(node.sandbox("c1"), {**network(), "cniVersion": version})
        check_alone(cni, attachment, "vrf")
        cni.delete(attachment)

        left = [item for item in difference(inside, node.sandbox("c1").state()) if "l3mdev-table" not in str(item)]
        assert left == []

    @pytest.mark.covers("vrf.vrfname", "DEL", "packet")
    def test_the_last_interface_takes_the_vrf_along(self, node, cni):
        """The VRF stays, and works, as long as an interface is in it, and goes with the last."""
        sandbox = node.sandbox("c1")
        first = cni.add(sandbox, network(1), "eth0")
        second = cni.add(sandbox, network(2), "eth1")
        cni.delete(first)
        still, reach = vrfs(sandbox), node.ping(second.address)
        cni.delete(second)

        assert list(still) == ["red"]
        assert reach
        assert vrfs(sandbox) == {}

    @pytest.mark.covers("vrf", "DEL")
    def test_twice_is_no_error(self, node, cni):
        """A second DEL succeeds."""
        attachment = cni.add(node.sandbox("c1"), network())
        cni.delete(attachment)
        cni.delete(attachment)

        assert vrfs(node.sandbox("c1")) == {}

    @pytest.mark.covers("vrf", "DEL")
    def test_an_interface_that_is_gone_is_no_error(self, node, cni):
        """Where somebody has removed the interface already DEL succeeds, and the VRF goes."""
        attachment = cni.add(node.sandbox("c1"), network())
        attachment.sandbox.run(["ip", "link", "delete", "eth0"])
        error = cni.delete(attachment, may_fail=True)

        assert error is None, str(error)
        assert vrfs(attachment.sandbox) == {}

    @pytest.mark.covers("vrf", "DEL")
    def test_without_the_namespace_is_no_error(self, node, cni):
        """DEL of a container whose namespace is gone succeeds."""
        attachment = cni.add(node.sandbox("c1"), network())
        node.lose("c1")

        assert cni.delete(attachment, may_fail=True) is None


class TestCheck:
    """What CHECK has to notice."""

    @pytest.mark.covers("vrf", "CHECK")
    def test_the_whole_list(self, node, cni):
        """CHECK of the whole list succeeds, although the routes that the first plugin made stand in another table."""
        attachment = cni.add(node.sandbox("c1"), network())
        cni.check(attachment)

        assert cni.attachments == [attachment]

    @pytest.mark.parametrize(
        "argv",
        [
            ["ip", "link", "set", "eth0", "nomaster"],
            ["ip", "link", "delete", "red"],
            ["ip", "link", "set", "red", "down"],
            ["ip", "rule", "delete", "pref", "1000"],
        ],
        ids=["released", "no VRF", "down", "rule"],
    )
    @pytest.mark.covers("vrf", "CHECK")
    def test_notices(self, node, cni, argv):
        """CHECK fails where the interface is in no VRF any more, or the VRF does not route."""
        attachment = cni.add(node.sandbox("c1"), network())
        attachment.sandbox.run(argv)

        with pytest.raises(PluginError):
            check_alone(cni, attachment, "vrf")

    @pytest.mark.covers("vrf.table", "CHECK")
    def test_notices_another_table(self, node, cni):
        """CHECK fails where a VRF of that name has another table than is said."""
        attachment = cni.add(node.sandbox("c1"), network(table=100))
        cut = attachment.sandbox
        cut.run(["ip", "link", "delete", "red"])
        cut.run(["ip", "link", "add", "red", "type", "vrf", "table", "200"])
        cut.run(["ip", "link", "set", "red", "up"])
        cut.run(["ip", "link", "set", "eth0", "master", "red"])

        with pytest.raises(PluginError):
            check_alone(cni, attachment, "vrf")
