"""tap: a device whose other end is a program: frames through an open descriptor, owners, queues."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import rejected
from cnitest.suites.plugins.taps import (
    ADDRESS,
    ADDRESS6,
    DEVICE,
    FAR,
    FAR6,
    OPEN_DEVICE,
    PROGRAM,
    as_user,
    details,
    network,
    opened,
)

pytestmark = [pytest.mark.requires(kernel="tap", plugin=["tap", "static"]), pytest.mark.topology("node-with-uplink")]


class TestFrames:
    """What passes between the container's network and who has the tap open."""

    @pytest.mark.covers("tap", "kernel", "packet")
    @pytest.mark.covers("tap.ipam", "kernel", "packet")
    def test_a_program_exchanges_frames(self, cni, sandbox):
        """Who opens the tap gets the container's frames, and the container gets his."""
        cni.add(sandbox, network(f"{ADDRESS}/24"))

        with opened(sandbox):
            assert sandbox.arp(FAR, on="eth0").answered_by == "02:00:5e:00:53:99"
            assert sandbox.ping(FAR)

    @pytest.mark.covers("tap", "kernel")
    def test_without_a_program_it_has_no_carrier(self, cni, sandbox):
        """A tap that nobody has open is up and has no carrier; with a program it has."""
        cni.add(sandbox, network(f"{ADDRESS}/24"))
        link = sandbox.link("eth0")
        assert link.up
        assert not link.carrier

        with opened(sandbox):
            assert sandbox.link("eth0").carrier

        assert sandbox.link("eth0").name == "eth0", "the tap outlives the program"

    @pytest.mark.covers("tap.ipam", "kernel")
    @pytest.mark.covers("tap.runtimeConfig.ips", "kernel", "packet")
    def test_addresses_of_both_families(self, cni, sandbox):
        """The link has the addresses of IPAM, those of the runtime too."""
        conf = {**network(f"{ADDRESS}/24"), "capabilities": {"ips": True}}

        attachment = cni.add(sandbox, conf, capabilities={"ips": [f"{ADDRESS}/24", f"{ADDRESS6}/64"]})

        assert attachment.addresses == (ADDRESS, ADDRESS6)
        assert {*sandbox.addresses_on("eth0")} == {ADDRESS, ADDRESS6}
        with opened(sandbox):
            assert sandbox.ping(FAR, source=ADDRESS)
            assert sandbox.ping(FAR6, source=ADDRESS6)

    @pytest.mark.covers("tap.multiQueue", "kernel", "packet")
    def test_several_queues(self, cni, sandbox):
        """With `multiQueue` a program may open the tap several times, and traffic passes whichever queue has it."""
        cni.add(sandbox, network(f"{ADDRESS}/24", multiQueue=True))
        assert details(sandbox)["multi_queue"]

        with opened(sandbox, queues=4):
            assert sandbox.arp(FAR, on="eth0")
            assert sandbox.ping(FAR)
            assert details(sandbox)["numqueues"] == 4

    @pytest.mark.covers("tap.multiQueue", "kernel")
    def test_one_queue_is_the_default(self, cni, sandbox):
        """Without it the tap has one queue, and the kernel refuses a program that asks for more."""
        cni.add(sandbox, network(f"{ADDRESS}/24"))
        assert not details(sandbox)["multi_queue"]

        ended = sandbox.run(["python3", "-c", PROGRAM, "eth0", "2", FAR, DEVICE, FAR6], check=False)

        assert ended.exit_code != 0
        assert "Invalid argument" in ended.stderr


class TestOwners:
    """Who may open the tap."""

    @pytest.fixture
    def users(self, node):
        """A device that every user may open, and users who can: not inside a user namespace."""
        node.run(["mount", "-t", "tmpfs", "tmpfs", "/mnt"])
        node.run(["mknod", OPEN_DEVICE, "c", "10", "200"], check=False)
        node.run(["chmod", "666", OPEN_DEVICE], check=False)
        if node.run([*as_user(1234), "python3", "-c", f"open({OPEN_DEVICE!r})"], check=False).exit_code:
            pytest.skip("no other user can open the kernel's tun device here: run as root")

    @pytest.mark.covers("tap.owner", "kernel")
    @pytest.mark.covers("tap.group", "kernel")
    @pytest.mark.requires(binary="setpriv")
    @pytest.mark.usefixtures("users")
    def test_owner_and_group(self, cni, sandbox):
        """`owner` and `group` are the tap's; without them it has none."""
        cni.add(sandbox, network(owner=1234, group=4321))
        cni.add(sandbox, {**network(), "name": "second"}, "eth1")
        first, second = details(sandbox), details(sandbox, "eth1")

        assert (first["user"], first["group"]) == ("1234", "4321") or (first["user"], first["group"]) == (1234, 4321)
        assert "user" not in second
        assert "group" not in second

    @pytest.mark.covers("tap.owner", "kernel")
    @pytest.mark.covers("tap.group", "kernel")
    @pytest.mark.requires(binary="setpriv")
    @pytest.mark.usefixtures("users")
    @pytest.mark.parametrize(("key", "is_one"), [("owner", "user"), ("group", "group")])
    def test_an_owner_is_no_group(self, cni, sandbox, key, is_one):
        """A tap with one of the two has that one, and not the other."""
        cni.add(sandbox, network(**{key: 1234}))
        found = details(sandbox)

        assert {name: str(found[name]) for name in ("user", "group") if name in found} == {is_one: "1234"}

    @pytest.mark.covers("tap.owner", "packet")
    @pytest.mark.covers("tap.group", "packet")
    @pytest.mark.requires(binary="setpriv")
    @pytest.mark.usefixtures("users")
    @pytest.mark.parametrize("key", ["owner", "group"])
    def test_the_owner_opens_it(self, cni, sandbox, key):
        """The owner, or who is of the group, opens the tap without any privilege, and exchanges frames by it."""
        cni.add(sandbox, network(f"{ADDRESS}/24", **{key: 1234}))

        with opened(sandbox, user=1234):
            assert sandbox.arp(FAR, on="eth0")

    @pytest.mark.covers("tap.owner", "kernel")
    @pytest.mark.covers("tap.group", "kernel")
    @pytest.mark.requires(binary="setpriv")
    @pytest.mark.usefixtures("users")
    @pytest.mark.parametrize("key", ["owner", "group"])
    def test_somebody_else_may_not(self, cni, sandbox, key):
        """A user who is neither is refused by the kernel."""
        cni.add(sandbox, network(f"{ADDRESS}/24", **{key: 1234}))

        opening = ["python3", "-c", PROGRAM, "eth0", "1", FAR, OPEN_DEVICE, FAR6]
        ended = sandbox.run([*as_user(1235), *opening], check=False)

        assert ended.exit_code != 0
        assert "not permitted" in ended.stderr

    @pytest.mark.covers("tap.owner", "refused")
    @pytest.mark.covers("tap.group", "refused")
    @pytest.mark.parametrize("key", ["owner", "group"])
    @pytest.mark.parametrize("value", [-1, "root", 1 << 33])
    def test_what_is_nobodys_number_is_refused(self, cni, sandbox, key, value):
        """A number below none, a name and one that no user can have are errors, and no link is left."""
        rejected(cni, sandbox, network(**{key: value}))

        assert [link.name for link in sandbox.links] == ["lo"]
