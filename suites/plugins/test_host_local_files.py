"""host-local's files: what they say, what DEL frees and what CHECK has to notice."""

from __future__ import annotations

import pytest
from cnitest.suites.plugins.lan_networks import delete_without_namespace, distrusted, rejected
from cnitest.suites.plugins.pools import DIRECTORY, MACHINE, addresses, between, leases, pool, taken

from cnitest import Runtime

pytestmark = [pytest.mark.requires(plugin="host-local"), pytest.mark.topology(MACHINE)]

POOL = pool(ranges=[between(10, 19)])
ONE = pool(ranges=[between(10, 10)])
HERE = f"{DIRECTORY}/pool"


class TestFiles:
    """What is kept, and where."""

    @pytest.mark.covers("host-local", "kernel")
    def test_a_file_an_address(self, cni, node):
        """A lease is a file of the address's name with container ID and interface name, a line each."""
        taken(cni, node, POOL, ["one", "two"], ifname="net1")

        assert leases(node) == {"10.1.2.10": "one|net1", "10.1.2.11": "two|net1"}
        assert node.execute(["cat", f"{HERE}/10.1.2.10"]).stdout == b"one\r\nnet1"

    @pytest.mark.covers("host-local", "kernel")
    def test_the_last_address_of_each_set(self, cni, node):
        """The last address that was given is kept for each set, so that the next begins after it."""
        network = pool(ranges=[between(10, 19), between(20, 29, "10.1.3.0/24")])
        taken(cni, node, network, "ab")

        found = [node.run(["cat", f"{HERE}/last_reserved_ip.{number}"]).stdout for number in (0, 1)]

        assert found == ["10.1.2.11", "10.1.3.21"]

    @pytest.mark.covers("host-local", "kernel")
    def test_two_networks_are_kept_apart(self, cni, node):
        """Two networks of different names give the same addresses, each in a directory of its own."""
        found = [taken(cni, node, pool(name, ranges=[between(10, 19)]), "a")[0].address for name in ("red", "blue")]

        assert found == ["10.1.2.10", "10.1.2.10"]
        assert [*leases(node, "red")] == [*leases(node, "blue")] == ["10.1.2.10"]

    @pytest.mark.covers("host-local.dataDir", "kernel")
    def test_another_directory(self, cni, node):
        """`dataDir` is where all files are, and the usual place has none."""
        network = pool(ranges=[between(10, 19)], dataDir="/var/lib/pools")
        (first,) = taken(cni, node, network, "a")

        assert [*leases(node, directory="/var/lib/pools")] == ["10.1.2.10"]
        assert leases(node) == {}
        cni.delete(first)
        assert leases(node, directory="/var/lib/pools") == {}

    @pytest.mark.covers("host-local.dataDir", "kernel")
    def test_a_directory_that_two_runtimes_share(self, lab, cni, node):
        """Two runtimes with the same network and directory never give an address twice."""
        other = Runtime(lab, cni.path)

        found = [*taken(cni, node, POOL, "a"), *taken(other, node, POOL, "b"), *taken(cni, node, POOL, "c")]

        assert addresses(found) == ["10.1.2.10", "10.1.2.11", "10.1.2.12"]
        other.delete(found[1])

    @pytest.mark.covers("host-local.dataDir", "refused")
    def test_a_directory_that_cannot_be_made(self, cni, node):
        """A `dataDir` below a file is an error."""
        node.run(["touch", "/var/lib/pools"])

        rejected(cni, node.sandbox("any"), pool(ranges=[between(10, 19)], dataDir="/var/lib/pools/below"))

    @pytest.mark.covers("host-local", "kernel")
    @pytest.mark.requires(plugin="host-local>=1.4.0")
    def test_nobody_else_may_read_them(self, cni, node):
        """Files are their owner's alone since 1.4.0."""
        taken(cni, node, POOL, "a")

        (lease,) = [file for file in node.files() if file.path == f"{HERE}/10.1.2.10"]

        assert lease.mode & 0o077 == 0

    @pytest.mark.covers("host-local", "kernel")
    def test_nobody_else_may_write_them(self, cni, node):
        """Files and directories are their owner's to read and to write, and nobody else may write them."""
        taken(cni, node, POOL, "a")

        modes = {file.path: file.mode & 0o777 for file in node.files() if file.path.startswith(DIRECTORY)}

        assert {DIRECTORY, HERE, f"{HERE}/10.1.2.10", f"{HERE}/last_reserved_ip.0"} <= {*modes}
        wrong = {path: f"{mode:o}" for path, mode in modes.items() if mode & 0o622 != 0o600}
        assert wrong == {}


class TestDel:
    """What DEL frees."""

    @pytest.mark.covers("host-local", "DEL")
    def test_of_one_interface_leaves_another(self, cni, node):
        """A container may have two leases under two interface names: DEL of one leaves the other."""
        (first,) = taken(cni, node, POOL, "a", ifname="eth0")
        taken(cni, node, POOL, "a", ifname="eth1")

        cni.delete(first)

        assert leases(node) == {"10.1.2.11": "a|eth1"}

    @pytest.mark.covers("host-local", "DEL")
    def test_twice(self, cni, node):
        """A second DEL succeeds, also when the address has its next owner by then, who keeps it."""
        (first,) = taken(cni, node, ONE, "a")
        cni.delete(first)
        taken(cni, node, ONE, "b")

        cni.delete(first)

        assert leases(node) == {"10.1.2.10": "b|eth0"}

    @pytest.mark.covers("host-local", "DEL")
    def test_of_a_container_that_nobody_knows(self, cni, node):
        """DEL of a container without a lease succeeds and frees nobody's."""
        first, second = taken(cni, node, POOL, "ab")
        node.run(["rm", f"{HERE}/{second.address}"])

        cni.delete(second)

        assert [*leases(node)] == [first.address]

    @pytest.mark.covers("host-local", "DEL")
    def test_without_a_namespace(self, cni, node):
        """DEL needs no namespace: an empty CNI_NETNS frees the address."""
        (first,) = taken(cni, node, POOL, "a")

        delete_without_namespace(cni, first)

        assert leases(node) == {}

    @pytest.mark.covers("host-local", "DEL")
    @pytest.mark.parametrize("said", ["a", "a\n", "a ", " a\r\neth0 ", "a\r\neth0\n"])
    def test_of_an_older_file(self, cni, node, said):
        """Files with the container ID alone, as older releases wrote them, and with blanks around are freed, too."""
        (first,) = taken(cni, node, POOL, "a")
        node.run(["tee", f"{HERE}/10.1.2.10"], stdin=said)

        cni.delete(first)

        assert leases(node) == {}

    @pytest.mark.covers("host-local", "DEL")
    def test_when_the_directory_is_gone(self, cni, node):
        """DEL succeeds when all files were removed."""
        (first,) = taken(cni, node, POOL, "a")
        node.run(["rm", "-r", HERE])

        error = cni.delete(first, may_fail=True)

        assert error is None, str(error)

    @pytest.mark.covers("host-local", "DEL")
    def test_of_a_container_whose_id_looks_like_an_address(self, cni, node):
        """A container called like an address frees its own lease and none of the files beside it."""
        taken(cni, node, POOL, ["a", "10.1.2.11", "b"])

        cni.delete(cni.attachments[1])

        assert [*leases(node)] == ["10.1.2.10", "10.1.2.12"]
        assert node.run(["cat", f"{HERE}/last_reserved_ip.0"]).stdout == "10.1.2.12"

    @pytest.mark.covers("host-local.runtimeConfig.ips", "refused")
    @pytest.mark.parametrize("wanted", ["10.1.2.15", "10.1.2.16"], ids=["its own", "another"])
    def test_a_second_add_that_fails_leaves_the_first(self, cni, node, wanted):
        """A second ADD of the same attachment is rejected, and the addresses of the first stay kept."""
        network = {**pool(ranges=[between(10, 19), between(10, 19, "10.1.3.0/24")]), "capabilities": {"ips": True}}
        taken(cni, node, network, "a", capabilities={"ips": ["10.1.2.15"]})
        before = leases(node)

        rejected(cni, node.sandbox("any"), network, container_id="a", capabilities={"ips": [wanted]})

        assert leases(node) == before

    @pytest.mark.covers("host-local", "refused")
    def test_a_second_add_after_an_older_file(self, cni, node):
        """The same where the first is in a file with the container ID alone, as older releases wrote it."""
        taken(cni, node, POOL, "a")
        node.run(["tee", f"{HERE}/10.1.2.10"], stdin="a")

        rejected(cni, node.sandbox("any"), POOL, container_id="a")

        assert leases(node) == {"10.1.2.10": "a"}


class TestCheck:
    """What CHECK has to notice."""

    @pytest.mark.covers("host-local", "CHECK")
    def test_agrees_with_a_fresh_lease(self, cni, node):
        """CHECK succeeds after ADD, for each of several containers."""
        for attachment in taken(cni, node, POOL, "ab"):
            cni.check(attachment)

    @pytest.mark.covers("host-local", "CHECK")
    @pytest.mark.parametrize("said", [None, "b\r\neth0", "a\r\neth1"], ids=["none", "another's", "of another link"])
    def test_notices(self, cni, node, said):
        """CHECK fails when the address is kept for nobody, for another container or for another interface."""
        (first,) = taken(cni, node, POOL, "a")
        if said is None:
            node.run(["rm", f"{HERE}/10.1.2.10"])
        else:
            node.run(["tee", f"{HERE}/10.1.2.10"], stdin=said)

        distrusted(cni, first)

    @pytest.mark.covers("host-local", "CHECK")
    def test_notices_another_address(self, cni, node):
        """CHECK fails when the container has a lease, but of another address than the result says."""
        (first,) = taken(cni, node, POOL, "a")
        node.run(["mv", f"{HERE}/10.1.2.10", f"{HERE}/10.1.2.18"])

        distrusted(cni, first)

    @pytest.mark.covers("host-local", "CHECK")
    def test_is_not_taken_in_by_an_id_that_looks_like_an_address(self, cni, node):
        """A container whose ID is an address has no lease because a file says that address."""
        (first,) = taken(cni, node, POOL, ["10.1.2.10"])
        node.run(["rm", f"{HERE}/10.1.2.10"])
        node.run(["tee", f"{HERE}/10.1.2.12"], stdin="other\r\neth0")

        distrusted(cni, first)
