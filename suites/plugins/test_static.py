"""static: addresses that somebody lists, in each form they can be listed in, and which form goes before which."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cnitest.suites.plugins.lan_networks import check_alone, delete_without_namespace, rejected
from cnitest.suites.plugins.pools import MACHINE

from cnitest import PluginError

pytestmark = [pytest.mark.requires(plugin="static"), pytest.mark.topology(MACHINE)]

FOUR, SIX = "10.1.2.3/24", "2001:db8:1::3/64"
WANTED, WANTED6 = "10.5.5.5/24", "2001:db8:5::5/64"
BOTH = [{"address": FOUR, "gateway": "10.1.2.1"}, {"address": SIX, "gateway": "2001:db8:1::1"}]
#: What is another list than `BOTH`.
OTHERS = {
    "ip": [{"address": "10.1.2.4/24", "gateway": "10.1.2.1"}],
    "gone": [BOTH[0]],
    "gateway-ipv4": [{"address": FOUR, "gateway": "10.1.2.9"}, BOTH[1]],
    "gateway-ipv6": [BOTH[0], {"address": SIX, "gateway": "2001:db8:1::9"}],
}


def listed(version="1.0.0", **keys):
    """A network that only lists: static is its one plugin, and the runtime may name addresses."""
    ipam = {"type": "static", **keys}
    return {"cniVersion": version, "name": "listed", "type": "static", "capabilities": {"ips": True}, "ipam": ipam}


def given(attachment):
    """The addresses with their prefixes."""
    return [ip.address for ip in attachment.result.ips]


@pytest.fixture
def sandbox(lab):
    """A namespace that nobody looks at."""
    return lab.host("node").sandbox("any")


class TestConfiguration:
    """The IPAM section."""

    @pytest.mark.covers("static.addresses", "kernel")
    @pytest.mark.covers("static.address", "kernel")
    @pytest.mark.covers("static.gateway", "kernel")
    def test_addresses_and_gateways(self, cni, sandbox):
        """Each address is in the result with its gateway, in the order of the list."""
        attachment = cni.add(sandbox, listed(addresses=BOTH))

        assert given(attachment) == [FOUR, SIX]
        assert [ip.gateway for ip in attachment.result.ips] == ["10.1.2.1", "2001:db8:1::1"]

    @pytest.mark.covers("static.addresses", "kernel")
    def test_several_of_a_family(self, cni, sandbox):
        """As many addresses of a family as are listed, with a gateway or without."""
        attachment = cni.add(sandbox, listed(addresses=[*BOTH, {"address": "10.1.3.3/24"}]))

        assert given(attachment) == [FOUR, SIX, "10.1.3.3/24"]
        assert attachment.result.ips[2].gateway is None

    @pytest.mark.covers("static.addresses", "kernel")
    @pytest.mark.parametrize("keys", [{"addresses": []}, {}], ids=["none", "unsaid"])
    def test_no_address_is_none_to_give(self, cni, sandbox, keys):
        """Without any address there is nothing to give: the result is empty, as the plugin has it."""
        assert cni.add(sandbox, listed(**keys)).result.ips == ()

    @pytest.mark.covers("static.routes", "kernel")
    @pytest.mark.covers("static.dst", "kernel")
    @pytest.mark.covers("static.gw", "kernel")
    def test_routes(self, cni, sandbox):
        """Routes are passed on as they are given, several gateways of one destination too."""
        routes = [
            {"dst": "0.0.0.0/0"},
            {"dst": "10.0.0.0/8", "gw": "10.1.2.9"},
            {"dst": "10.0.0.0/8", "gw": "10.1.2.8"},
            {"dst": "2001:db8:2::/48", "gw": "2001:db8:1::9"},
        ]

        assert cni.add(sandbox, listed(addresses=BOTH, routes=routes)).result.document["routes"] == routes

    @pytest.mark.covers("static.mtu", "kernel")
    @pytest.mark.covers("static.advmss", "kernel")
    @pytest.mark.covers("static.priority", "kernel")
    @pytest.mark.covers("static.table", "kernel")
    @pytest.mark.covers("static.scope", "kernel")
    @pytest.mark.requires(plugin="static>=1.6.0")
    def test_routes_with_all_that_1_1_0_has(self, cni, sandbox):
        """From 1.1.0 on a route may have an MTU, an MSS, a priority, a table and a scope."""
        routes = [{"dst": "0.0.0.0/0", "mtu": 1400, "advmss": 1360, "priority": 50, "table": 100, "scope": 253}]

        attachment = cni.add(sandbox, listed("1.1.0", addresses=BOTH, routes=routes))

        assert attachment.result.document["routes"] == routes

    @pytest.mark.covers("static.dns", "kernel")
    @pytest.mark.covers("static.nameservers", "kernel")
    @pytest.mark.covers("static.domain", "kernel")
    @pytest.mark.covers("static.search", "kernel")
    @pytest.mark.covers("static.options", "kernel")
    def test_dns(self, cni, sandbox):
        """`dns` is passed on as it is given."""
        dns = {"nameservers": ["192.0.2.53"], "domain": "example.org", "search": ["a.example"], "options": ["ndots:2"]}

        assert cni.add(sandbox, listed(addresses=BOTH, dns=dns)).result.dns == dns

    @pytest.mark.covers("static.address", "refused")
    @pytest.mark.parametrize(
        "address", ["10.1.2.3", "10.1.2.3/33", "10.1.2/24", "2001:db8:1::3/129", "2001:db8:1::3", "ten/8", ""]
    )
    def test_what_is_no_address_is_refused(self, cni, sandbox, address):
        """An address without a prefix, with one that is too long and a word are errors."""
        rejected(cni, sandbox, listed(addresses=[{"address": address}]))

    @pytest.mark.covers("static.gateway", "refused")
    @pytest.mark.parametrize("gateway", ["x", "10.1.2.1/24", "10.9.9.9", "2001:db8:1::1"])
    def test_what_is_no_gateway_is_refused(self, cni, sandbox, gateway):
        """A word, a prefix, an address out of the subnet and one of the other family are errors."""
        rejected(cni, sandbox, listed(addresses=[{"address": FOUR, "gateway": gateway}]))

    @pytest.mark.covers("static.dst", "refused")
    @pytest.mark.covers("static.gw", "refused")
    @pytest.mark.parametrize("route", [{"dst": "x"}, {"dst": "10.0.0.0"}, {"dst": "10.0.0.0/8", "gw": "x"}])
    def test_what_is_no_route_is_refused(self, cni, sandbox, route):
        """A destination without a prefix and a gateway that is none are errors."""
        rejected(cni, sandbox, listed(addresses=BOTH, routes=[route]))

    @pytest.mark.covers("static.addresses", "refused")
    @pytest.mark.parametrize("address", ["10.1.3.3/24", "2001:db8:2::3/64"])
    def test_two_of_a_family_in_an_old_version(self, cni, sandbox, address):
        """A result of 0.2.0 has room for one address a family."""
        rejected(cni, sandbox, listed("0.2.0", addresses=[*BOTH, {"address": address}]))

    @pytest.mark.covers("static", "kernel")
    @pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"])
    def test_of_every_version(self, cni, sandbox, version):
        """Each version is answered in its own form, with both families."""
        attachment = cni.add(sandbox, listed(version, addresses=BOTH))

        assert attachment.result.cni_version == version
        assert given(attachment) == [FOUR, SIX]


class TestAskedFor:
    """Addresses that come with the call."""

    @pytest.mark.covers("static.CNI_ARGS.IP", "kernel")
    @pytest.mark.covers("static.CNI_ARGS.GATEWAY", "kernel")
    def test_by_cni_args(self, cni, sandbox):
        """IP and GATEWAY of CNI_ARGS are given as well as the configuration's."""
        attachment = cni.add(sandbox, listed(addresses=BOTH), args={"IP": WANTED, "GATEWAY": "10.5.5.1"})

        assert given(attachment) == [FOUR, SIX, WANTED]
        assert attachment.result.ips[2].gateway == "10.5.5.1"

    @pytest.mark.covers("static.CNI_ARGS.IP", "kernel")
    @pytest.mark.covers("static.CNI_ARGS.GATEWAY", "kernel")
    def test_several_by_cni_args(self, cni, sandbox):
        """IP and GATEWAY may be lists: each address gets the gateway of its subnet."""
        args = {"IP": f"{WANTED},{WANTED6}", "GATEWAY": "2001:db8:5::1,10.5.5.1"}

        attachment = cni.add(sandbox, listed(), args=args)

        assert given(attachment) == [WANTED, WANTED6]
        assert [ip.gateway for ip in attachment.result.ips] == ["10.5.5.1", "2001:db8:5::1"]

    @pytest.mark.covers("static.args.cni.ips", "kernel")
    def test_by_args(self, cni, sandbox):
        """`args.cni.ips` is given instead of the configuration's."""
        network = {**listed(addresses=BOTH), "args": {"cni": {"ips": [WANTED, WANTED6]}}}

        assert given(cni.add(sandbox, network)) == [WANTED, WANTED6]

    @pytest.mark.covers("static.runtimeConfig.ips", "kernel")
    def test_by_the_runtime(self, cni, sandbox):
        """The runtime's `ips` capability is given instead of the configuration's."""
        attachment = cni.add(sandbox, listed(addresses=BOTH), capabilities={"ips": [WANTED, WANTED6]})

        assert given(attachment) == [WANTED, WANTED6]

    @pytest.mark.covers("static.runtimeConfig.ips", "kernel")
    @pytest.mark.covers("static.args.cni.ips", "kernel")
    @pytest.mark.covers("static.CNI_ARGS.IP", "kernel")
    @pytest.mark.parametrize(("capabilities", "first"), [({"ips": [WANTED]}, WANTED), ({}, "10.8.8.8/24")])
    def test_the_runtime_goes_before_args_and_args_before_cni_args(self, cni, sandbox, capabilities, first):
        """With all three forms the runtime's capability counts, without it `args`; CNI_ARGS come last."""
        network = {**listed(addresses=BOTH), "args": {"cni": {"ips": ["10.8.8.8/24"]}}}

        attachment = cni.add(sandbox, network, args={"IP": "10.7.7.7/24"}, capabilities=capabilities)

        assert given(attachment) == [first]

    @pytest.mark.covers("static.CNI_ARGS.IP", "refused")
    @pytest.mark.covers("static.CNI_ARGS.GATEWAY", "refused")
    @pytest.mark.parametrize("args", [{"IP": "10.5.5.5"}, {"IP": "x"}, {"IP": WANTED, "GATEWAY": "x"}])
    def test_what_is_none_by_cni_args(self, cni, sandbox, args):
        """An address without a prefix and words are errors."""
        rejected(cni, sandbox, listed(addresses=BOTH), args=args)

    @pytest.mark.covers("static.args.cni.ips", "refused")
    @pytest.mark.covers("static.runtimeConfig.ips", "refused")
    @pytest.mark.parametrize("address", ["10.5.5.5", "x", "10.5.5.5/33"])
    @pytest.mark.parametrize("form", ["args", "runtimeConfig"])
    def test_what_is_none(self, cni, sandbox, form, address):
        """An address without a prefix, with one that is too long and a word are errors."""
        network = listed(addresses=BOTH)
        if form == "args":
            rejected(cni, sandbox, {**network, "args": {"cni": {"ips": [address]}}})
        else:
            rejected(cni, sandbox, network, capabilities={"ips": [address]})

    @pytest.mark.covers("static.CNI_ARGS.IP", "refused")
    @pytest.mark.covers("static.args.cni.ips", "refused")
    @pytest.mark.covers("static.runtimeConfig.ips", "refused")
    @pytest.mark.parametrize("form", ["CNI_ARGS", "args", "runtimeConfig"])
    def test_without_an_ipam_section(self, cni, sandbox, form):
        """Addresses that come with the call do not make up for a configuration without `ipam`."""
        network = {key: value for key, value in listed().items() if key != "ipam"}
        if form == "args":
            network["args"] = {"cni": {"ips": [WANTED]}}
        args, capabilities = {"IP": WANTED} if form == "CNI_ARGS" else {}, {"ips": [WANTED]} if form[0] == "r" else {}

        assert "ipam" in rejected(cni, sandbox, network, args=args, capabilities=capabilities)


class TestUpkeep:
    """CHECK and DEL."""

    @pytest.mark.covers("static", "CHECK", "DEL")
    def test_check_agrees_and_del_has_nothing_to_do(self, cni, sandbox):
        """CHECK succeeds after ADD, DEL succeeds twice."""
        attachment = cni.add(sandbox, listed(addresses=BOTH))
        cni.check(attachment)

        cni.delete(attachment)
        cni.delete(attachment)

        assert cni.attachments == []

    @pytest.mark.covers("static", "DEL")
    def test_del_of_what_nobody_added(self, cni, sandbox):
        """DEL of a container that it does not know, and without a namespace, succeeds."""
        delete_without_namespace(cni, cni.add(sandbox, listed(addresses=BOTH), container_id="other"))

    @pytest.mark.covers("static.addresses", "CHECK")
    @pytest.mark.covers("static.gateway", "CHECK")
    @pytest.mark.parametrize("kept", OTHERS.values(), ids=OTHERS)
    def test_check_notices_a_result_that_is_another(self, cni, sandbox, kept):
        """CHECK fails when the result that it is shown is not what the configuration lists."""
        other = cni.add(sandbox, listed(addresses=kept), container_id="other")
        attachment = cni.add(sandbox, listed(addresses=BOTH))
        check_alone(cni, attachment, "static")

        with pytest.raises(PluginError):
            check_alone(cni, replace(attachment, result=other.result), "static")
