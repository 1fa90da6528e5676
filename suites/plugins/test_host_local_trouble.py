"""host-local's files in trouble: strangers among them, crashes, full disks, and what is left of the dead."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import rejected
from cnitest.suites.plugins.pools import DIRECTORY, MACHINE, addresses, between, leases, pool, taken

from cnitest import PluginError, Runtime

pytestmark = [pytest.mark.requires(plugin="host-local"), pytest.mark.topology(MACHINE)]

POOL = pool(ranges=[between(10, 19)])
ONE = pool(ranges=[between(10, 10)])
HERE = f"{DIRECTORY}/pool"


class TestStrangers:
    """Files that somebody else has put there."""

    @pytest.mark.covers("host-local", "kernel")
    @pytest.mark.parametrize(
        "command",
        [
            f"mkdir -p {HERE}/10.1.2.10",
            f"printf 'someone\\r\\neth0' > {HERE}/10.1.2.10",
            f"head -c 5000 /dev/zero > {HERE}/10.1.2.10",
            f"ln -s /run/nowhere {HERE}/10.1.2.10",
        ],
        ids=["directory", "lease", "zeros", "dangling link"],
    )
    def test_an_address_that_has_a_file_is_not_given(self, cni, node, command):
        """Whatever stands in the address's place, it is somebody's: the next one is given."""
        node.run(["mkdir", "-p", HERE])
        node.run(["sh", "-c", command])

        assert addresses(taken(cni, node, POOL, "a")) == ["10.1.2.11"]

    @pytest.mark.covers("host-local", "kernel")
    @pytest.mark.parametrize("said", ["", "no address", "10.9.9.9", "2001:db8::1", "10.1.2.14\n"])
    def test_a_last_address_that_is_none(self, cni, node, said):
        """Where the last address is unreadable, or of another subnet, the pool begins at its start, or after it."""
        node.run(["mkdir", "-p", HERE])
        node.run(["tee", f"{HERE}/last_reserved_ip.0"], stdin=said)

        (found,) = addresses(taken(cni, node, POOL, "a"))

        assert found in (("10.1.2.15", "10.1.2.10") if said.startswith("10.1.2.14") else ("10.1.2.10",))

    @pytest.mark.covers("host-local", "kernel", "DEL")
    def test_files_of_other_names_are_left_alone(self, cni, node):
        """A file that is no address's stays, through ADD, CHECK and DEL."""
        node.run(["mkdir", "-p", HERE])
        node.run(["tee", f"{HERE}/README"], stdin="keep me")

        (first,) = taken(cni, node, POOL, "a")
        cni.check(first)
        cni.delete(first)

        assert node.run(["cat", f"{HERE}/README"]).stdout == "keep me"


class TestCrashes:
    """A process that dies and a disk that is full, at the moment when it hurts most."""

    @pytest.fixture
    def limited(self, cni, node):
        """ADD of a container ``dead`` in a process that may write no byte to any file."""
        cni.delete(cni.add(node.sandbox("any"), POOL, container_id="dead"))
        call = next(call for call in cni.calls if call.command == "ADD")
        command = ["sh", "-c", 'ulimit -f 0; exec "$0"', *call.argv]
        return lambda: node.run(command, stdin=call.stdin, environment=call.environment, check=False)

    @pytest.mark.covers("host-local", "kernel")
    def test_an_add_that_may_not_write(self, cni, node, limited):
        """ADD that can make its file and not write it ends with an error and keeps nothing; others get addresses."""
        assert limited().exit_code != 0

        assert leases(node) == {}
        assert len({*addresses(taken(cni, node, POOL, "abcdefghij"))}) == 10

    @pytest.mark.covers("host-local", "kernel")
    def test_an_empty_file_is_given_to_nobody_twice(self, cni, node):
        """A process that dies before it writes leaves an empty file: the address is out of use, the others are not."""
        node.run(["mkdir", "-p", HERE])
        node.run(["touch", f"{HERE}/10.1.2.10"])

        assert addresses(taken(cni, node, POOL, "ab")) == ["10.1.2.11", "10.1.2.12"]

    @pytest.mark.covers("host-local", "kernel")
    @pytest.mark.requires(plugin="host-local>=1.6.0")
    def test_gc_frees_an_empty_file(self, cni, node):
        """An address that is kept for nobody is free again after GC."""
        network = pool(version="1.1.0", ranges=[between(10, 10)])
        node.run(["mkdir", "-p", HERE])
        node.run(["touch", f"{HERE}/10.1.2.10"])

        cni.gc(node, network, keep=[])

        assert leases(node) == {}

    @pytest.mark.covers("host-local.dataDir", "refused")
    def test_a_full_disk(self, cni, node):
        """ADD on a full disk is an error that keeps no address; with room again the address is given."""
        network = pool(ranges=[between(10, 10)], dataDir="/mnt")
        node.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/mnt"])
        node.run(["dd", "if=/dev/zero", "of=/mnt/full", "bs=4096", "count=16"])

        rejected(cni, node.sandbox("any"), network, container_id="a")
        node.run(["rm", "/mnt/full"])

        assert addresses(taken(cni, node, network, "b")) == ["10.1.2.10"]

    @pytest.mark.covers("host-local", "kernel")
    def test_who_holds_the_lock_is_waited_for(self, lab, cni, node):
        """While somebody holds the lock ADD waits, and goes on when he lets it go, also by his death."""
        node.run(["mkdir", "-p", HERE])
        impatient = Runtime(lab, cni.path, timeout=0.5, delete_after_failed_add=False)

        with (
            node.start(["flock", f"{HERE}/lock", "sh", "-c", "echo held; exec sleep 1000"], ready="held"),
            pytest.raises(PluginError, match="deadline|killed|timed out"),
        ):
            impatient.add(node.sandbox("any"), POOL, container_id="early")

        assert addresses(taken(cni, node, POOL, "a")) == ["10.1.2.10"]


class TestUpkeep:
    """What is left of containers that are no more, and a pool that is used up."""

    @pytest.mark.covers("host-local", "kernel")
    def test_leases_outlive_a_reboot_until_del(self, cni, node):
        """After a reboot the addresses are still kept, and DEL without a namespace frees each."""
        attachments = taken(cni, node, ONE, "a")
        node.reboot()
        rejected(cni, node.sandbox("any"), ONE, container_id="b")

        cni.delete(attachments[0])

        assert addresses(taken(cni, node, ONE, "b")) == ["10.1.2.10"]

    @pytest.mark.covers("host-local", "kernel")
    @pytest.mark.requires(plugin="host-local>=1.6.0")
    def test_gc_frees_what_nobody_has(self, cni, node):
        """GC frees the leases of attachments that are no longer valid, and keeps the others."""
        network = pool(version="1.1.0", ranges=[between(10, 19)])
        first, second = taken(cni, node, network, "ab")
        node.run(["rm", "/var/lib/cni/results/pool-a-eth0"])  # forgotten, so that the runtime calls no DEL
        cni.attachments.remove(first)

        cni.gc(node, network, keep=[second])

        assert [*leases(node)] == [second.address]

    @pytest.mark.covers("host-local", "kernel")
    @pytest.mark.requires(plugin="host-local>=1.6.0")
    def test_status_tells_of_a_pool_that_is_used_up(self, cni, node):
        """STATUS is an error when ADD would be one for want of an address, and none before."""
        network = pool(version="1.1.0", ranges=[between(10, 10)])
        cni.status(network, node)
        taken(cni, node, network, "a")

        with pytest.raises(PluginError):
            cni.status(network, node)
