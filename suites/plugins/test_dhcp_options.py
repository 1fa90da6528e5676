"""What DHCP clients ask for and tell, by `request` and `provide`: options by number or name, and what is rejected."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.leases import (
    BEYOND_SERVER,
    FIRST,
    GATEWAY,
    MARKS,
    NET,
    messages,
    network,
    routes,
    serving,
    short_leases,
)

from cnitest import PluginError

pytestmark = MARKS


def asked_for(capture):
    """The options that each DISCOVER and REQUEST in a capture asks for, by number."""
    found = [message.options.get("param_req_list", []) for message in messages(capture, "DISCOVER", "REQUEST")]
    return [sorted(codes) if isinstance(codes, list) else [codes] for codes in found]


@pytest.mark.covers("dhcp.request", "packet")
def test_option_26_is_asked_for_and_the_mtu_is_the_interface_plugins(node, server, running, cni):
    """The MTU of the lease is given to who asks for it; the link's is what the interface plugin gave it."""
    with serving(server, "26,1400"), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), network(request=[{"option": "26"}]))
        reported = [message.options["interface-mtu"] for message in messages(wire, "ACK")]

    assert reported == [1400]
    assert attachment.sandbox.link("eth0").mtu == 1500


@pytest.mark.covers("dhcp.request", "packet")
def test_option_6_is_what_the_container_asks_names_of(node, server, running, cni):
    """The DNS servers of the lease, which was asked for them, are those of the result."""
    with serving(server, "6,192.0.2.53"), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), network(request=[{"option": "6"}]))
        reported = [message.options["name_server"] for message in messages(wire, "ACK")]

    assert reported == ["192.0.2.53"]
    assert attachment.result.dns.get("nameservers") == ["192.0.2.53"]


@pytest.mark.covers("dhcp.request", "packet")
def test_routers_and_mask_are_asked_for_by_default(node, server, running, cni):
    """Without `request` options 1 and 3 are asked for, in both messages."""
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), NET)

    assert asked_for(wire) == [[1, 3], [1, 3]]


@pytest.mark.covers("dhcp.request", "packet")
def test_options_are_asked_for_by_number_or_name(node, server, running, cni):
    """What `request` names, by number or name, is asked for beside the default ones, each once."""
    named = [{"option": option} for option in ("26", "host-name", "routers", "user-class")]
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), network(request=named))

    assert asked_for(wire) == [[1, 3, 12, 26, 77]] * 2


@pytest.mark.covers("dhcp.request", "kernel", "packet")
def test_skip_default_asks_for_what_is_named_alone(node, server, running, cni):
    """With skipDefault the routers are not asked for, so a server that has some gives no default route."""
    asked = [{"skipDefault": True, "option": "subnet-mask"}]
    with serving(server, GATEWAY), server.capture("ens33") as wire:
        attachment = cni.add(node.sandbox("c1"), network(request=asked))

    assert asked_for(wire) == [[1], [1]]
    assert routes(attachment.sandbox) == []
    assert attachment.sandbox.ping(BEYOND_SERVER).dropped_by == "no route"


@pytest.mark.covers("dhcp.request", "packet")
def test_skip_default_may_stand_alone(node, server, running, cni):
    """skipDefault in an entry of its own, without an option, holds for the whole list."""
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), network(request=[{"skipDefault": True}, {"option": "1"}]))

    assert asked_for(wire) == [[1], [1]]


@pytest.mark.covers("dhcp.request", "refused")
def test_a_lease_without_mask_is_refused(node, server, running, cni):
    """A lease without a mask is no address: ADD fails, and the link is taken back."""
    with short_leases(server, "ack", mask=""), pytest.raises(PluginError, match="Subnet Mask not found"):
        cni.add(node.sandbox("c1"), network(request=[{"skipDefault": True, "option": "3"}]))

    assert [link.name for link in node.sandbox("c1").links] == ["lo"]


@pytest.mark.parametrize(("mask", "length"), [("255.255.255.192", 26), ("255.255.0.0", 16)])
@pytest.mark.covers("dhcp", "kernel")
def test_the_prefix_is_the_mask_of_the_lease(node, server, running, cni, mask, length):
    """Whatever class an address is of, its prefix in the result and in the container is the lease's mask."""
    with short_leases(server, "ack", mask=mask):
        attachment = cni.add(node.sandbox("c1"), NET)

    whole = f"{FIRST}/{length}"
    assert [ip.address for ip in attachment.result.ips] == [whole]
    assert whole in [row.address for row in attachment.sandbox.addresses if row.link == "eth0"]


@pytest.mark.parametrize("key", ["request", "provide"])
@pytest.mark.parametrize("option", ["no-such-option", "256", "-1"])
@pytest.mark.covers("dhcp.request", "refused")
@pytest.mark.covers("dhcp.provide", "refused")
def test_an_option_that_does_not_exist_is_refused(node, server, running, cni, key, option):
    """An option that has no number in a byte, and no name, is rejected by name, before anything is asked."""
    with (
        serving(server),
        server.capture("ens33") as wire,
        pytest.raises(PluginError, match=f"Can not parse option.*{option}"),
    ):
        cni.add(node.sandbox("c1"), network(**{key: [{"option": option, "value": "x"}]}))

    assert messages(wire) == []


@pytest.mark.parametrize("option", ["host-name", "12"])
@pytest.mark.covers("dhcp.provide", "packet")
def test_a_host_name_is_told_to_the_server(node, server, running, cni, option):
    """Option 12 by `provide` is what the server calls the lease."""
    with serving(server) as dhcp, server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), network(provide=[{"option": option, "value": "web1"}]))
        names = [lease.name for lease in dhcp.leases]

    assert names == ["web1"]
    assert {message.options["hostname"] for message in messages(wire, "DISCOVER", "REQUEST")} == {b"web1"}


@pytest.mark.covers("dhcp.provide", "packet")
@pytest.mark.covers("dhcp.CNI_ARGS.fromArg", "packet")
def test_a_host_name_comes_from_cni_args(node, server, running, cni):
    """With fromArg the value is the one that CNI_ARGS has under that name."""
    named = network(provide=[{"option": "host-name", "fromArg": "K8S_POD_NAME"}])
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), named, args={"IgnoreUnknown": "1", "K8S_POD_NAME": "pod-7"})

    assert {message.options["hostname"] for message in messages(wire, "DISCOVER", "REQUEST")} == {b"pod-7"}


@pytest.mark.covers("dhcp.provide", "packet")
def test_an_argument_goes_before_a_value(node, server, running, cni):
    """Where `value` and fromArg are both given the argument counts, and the value where there is no argument."""
    both = network(provide=[{"option": "host-name", "value": "fallback", "fromArg": "NAME"}])
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), both, args={"IgnoreUnknown": "1", "NAME": "given"})
        cni.add(node.sandbox("c2"), both)

    assert [message.options["hostname"] for message in messages(wire, "REQUEST")] == [b"given", b"fallback"]


@pytest.mark.covers("dhcp.provide", "packet")
def test_an_argument_that_is_missing_is_not_provided(node, server, running, cni):
    """Without the argument of fromArg the option is left out, and the lease is got all the same."""
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), network(provide=[{"option": "host-name", "fromArg": "NAME"}]))

    assert all("hostname" not in message.options for message in messages(wire, "DISCOVER", "REQUEST"))


@pytest.mark.covers("dhcp.provide", "packet")
def test_classes_are_told_to_the_server(node, server, running, cni):
    """A vendor's and a user's class, by name or number, stand in both messages as they were given."""
    classes = [{"option": "60", "value": "of-a-vendor"}, {"option": "user-class", "value": "of-a-user"}]
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), network(provide=classes))

    said = [message.options for message in messages(wire, "DISCOVER", "REQUEST")]
    assert [options["vendor_class_id"] for options in said] == [b"of-a-vendor"] * 2
    assert all(b"of-a-user" in options["user_class"] for options in said)


@pytest.mark.covers("dhcp.provide", "packet")
def test_a_client_identifier_of_ones_own(node, server, running, cni):
    """A dhcp-client-identifier by `provide` goes before the one that is made of the names."""
    own = network(provide=[{"option": "dhcp-client-identifier", "value": "me"}])
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), own)

    assert {message.options["client_id"] for message in messages(wire, "DISCOVER", "REQUEST")} == {b"me"}


@pytest.mark.covers("dhcp.provide", "refused")
@pytest.mark.parametrize("given", ["value", "fromArg"])
def test_a_value_that_is_too_long_is_refused(node, server, running, cni, given):
    """A value of more than 255 bytes fits no option: ADD is rejected, and says which one."""
    key, args = ("x" * 256, {}) if given == "value" else ("", {"IgnoreUnknown": "1", "NAME": "x" * 256})
    provide = [{"option": "host-name", "value": key, "fromArg": "NAME"}]

    with serving(server), pytest.raises(PluginError, match="value too long for option.*host-name"):
        cni.add(node.sandbox("c1"), network(provide=provide), args=args)


@pytest.mark.covers("dhcp.provide", "packet")
@pytest.mark.parametrize("given", ["value", "fromArg"])
def test_a_value_that_just_fits_is_provided_whole(node, server, running, cni, given):
    """A value of 255 bytes, as many as an option has room for, is told to the server in full."""
    longest = "x" * 255
    key, args = (longest, {}) if given == "value" else ("", {"IgnoreUnknown": "1", "NAME": longest})
    provide = [{"option": "vendor-class-identifier", "value": key, "fromArg": "NAME"}]
    with serving(server), server.capture("ens33") as wire:
        cni.add(node.sandbox("c1"), network(provide=provide), args=args)

    said = [message.options["vendor_class_id"] for message in messages(wire, "DISCOVER", "REQUEST")]
    assert said == [longest.encode()] * 2
