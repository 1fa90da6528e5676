"""host-local as an allocator: order, reuse, exhaustion and churn held against a model, one by one and all at once."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from cnitest.suites.plugins.lan_networks import rejected
from cnitest.suites.plugins.pools import MACHINE, addresses, between, leases, owner_of, pool, taken

from cnitest import PluginError, Runtime
from cnitest.fuzz.oracles.allocator import following, range_of

pytestmark = [pytest.mark.requires(plugin="host-local"), pytest.mark.topology(MACHINE)]

WORKERS = 6
SIX = [{"subnet": "2001:db8:1::/64", "rangeStart": "2001:db8:1::10", "rangeEnd": "2001:db8:1::13"}]
SHAPES = {
    "one range": [between(10, 14)],
    "its gateway inside": [between(1, 6)],
    "two ranges": [[*between(10, 12), *between(250, 251, "10.1.3.0/24")]],
    "two families": [between(10, 14), SIX],
    "the end of a subnet": [[{"subnet": "10.1.2.0/29"}]],
}


class TestOrder:
    """Which address is next."""

    @pytest.mark.covers("host-local.ranges", "kernel", "DEL")
    def test_a_freed_address_waits_its_turn(self, cni, node):
        """The next address is the one after the last that was given, not one that has just been freed."""
        network = pool(ranges=[between(10, 13)])
        first, _ = taken(cni, node, network, "ab")

        cni.delete(first)

        assert addresses(taken(cni, node, network, "cde")) == ["10.1.2.12", "10.1.2.13", "10.1.2.10"]

    @pytest.mark.covers("host-local.ranges", "kernel", "DEL")
    def test_the_only_free_one_is_found(self, cni, node):
        """With one address free, wherever it is, that one is given."""
        network = pool(ranges=[between(10, 13)])
        attachments = taken(cni, node, network, "abcd")

        for attachment in attachments:
            cni.delete(attachment)
            assert addresses(taken(cni, node, network, [f"{attachment.container_id}2"])) == [attachment.address]

    @pytest.mark.covers("host-local.ranges", "refused")
    @pytest.mark.parametrize("shape", SHAPES)
    def test_a_pool_is_used_up_when_its_last_address_is_given(self, cni, node, shape):
        """As many containers as there are addresses get one each; the next is rejected, and keeps nothing."""
        network, size = pool(ranges=SHAPES[shape]), min(capacity(rows) for rows in SHAPES[shape])
        found = taken(cni, node, network, [f"c{number}" for number in range(size)])

        said = rejected(cni, node.sandbox("any"), network, container_id="late")

        assert "no IP addresses available" in said
        assert len({attachment.address for attachment in found}) == size
        assert not [address for address, owner in leases(node).items() if owner.startswith("late")]

    @pytest.mark.covers("host-local.ranges", "DEL")
    def test_churn_never_uses_a_pool_up(self, cni, node):
        """Four times as many containers as addresses, one after the other, all get one."""
        network = pool(ranges=[between(10, 13)])

        found = []
        for number in range(16):
            (attachment,) = taken(cni, node, network, [f"c{number}"])
            found.append(attachment.address)
            cni.delete(attachment)

        assert {*found} == {f"10.1.2.{last}" for last in range(10, 14)}
        assert leases(node) == {}

    @pytest.mark.covers("host-local.ranges", "kernel")
    def test_a_pool_may_grow(self, cni, node):
        """A range that was made longer goes on behind the addresses that are given."""
        taken(cni, node, pool(ranges=[between(10, 11)]), "ab")

        assert addresses(taken(cni, node, pool(ranges=[between(10, 19)]), "c")) == ["10.1.2.12"]

    @pytest.mark.covers("host-local.ranges", "kernel")
    def test_a_pool_may_move(self, cni, node):
        """A range elsewhere begins at its start, and what was given of the old one stays kept."""
        taken(cni, node, pool(ranges=[between(10, 11)]), "ab")

        assert addresses(taken(cni, node, pool(ranges=[between(50, 51)]), "c")) == ["10.1.2.50"]
        assert len(leases(node)) == 3


def capacity(rows):
    """How many addresses a set of ranges has to give."""
    ranges = [range_of(row) for row in rows]
    gateways = {one.gateway for one in ranges}
    return sum(one.first + step not in gateways for one in ranges for step in range(int(one.last) - int(one.first) + 1))


class Model:
    """What the allocator has given, by container, and what it has to give next."""

    def __init__(self, sets):
        self.sets = [[range_of(row) for row in rows] for rows in sets]
        self.given, self.last = {}, [None] * len(sets)

    def next(self):
        """The address that each set gives next; None where one is used up."""
        reserved = {address for addresses in self.given.values() for address in addresses}
        found = [following(ranges, reserved, last) for ranges, last in zip(self.sets, self.last, strict=True)]
        return [None if address is None else str(address) for address in found]

    def add(self, container, found):
        """Note what a container was given; sets before one that is used up have moved on though it got nothing."""
        if None in found:
            self.last[: found.index(None)] = found[: found.index(None)]
        else:
            self.given[container], self.last = found, list(found)


@pytest.mark.covers("host-local.ranges", "kernel", "DEL")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", SHAPES)
def test_any_order_of_adds_and_dels_is_as_the_model_says(cni, node, shape, seed):
    """Thirty operations drawn from a seed: every address, every rejection and every file is as the model has it."""
    drawn, model, network = random.Random(f"{shape}{seed}"), Model(SHAPES[shape]), pool(ranges=SHAPES[shape])
    attachments = {}
    for container in (f"c{step}" for step in range(30)):
        if attachments and drawn.random() < 0.4:
            gone = drawn.choice(sorted(attachments))
            cni.delete(attachments.pop(gone))
            del model.given[gone]
            continue
        wanted = model.next()
        model.add(container, wanted)
        if None in wanted:
            rejected(cni, node.sandbox("any"), network, container_id=container)
        else:
            (attachments[container],) = taken(cni, node, network, [container])
            assert [*attachments[container].addresses] == wanted
        assert {*leases(node)} == {address for given in model.given.values() for address in given}


class TestAllAtOnce:
    """Several runtimes that know nothing of each other."""

    @pytest.fixture
    def at_once(self, lab, cni, node):
        """One ADD for each container, each by a runtime of its own; attachments, and None for the rejected."""
        used = []

        def add(network, names):
            def one(name):
                runtime = Runtime(lab, cni.path, delete_after_failed_add=False)
                used.append(runtime)
                try:
                    return runtime.add(node.sandbox("any"), network, container_id=name)
                except PluginError as error:
                    if "no IP addresses available" not in str(error):
                        raise
                    return None

            with ThreadPoolExecutor(WORKERS) as pool_of_threads:
                return list(pool_of_threads.map(one, names))

        yield add
        for runtime in used:
            for attachment in runtime.attachments[:]:
                runtime.delete(attachment)

    @pytest.mark.covers("host-local.ranges", "kernel")
    def test_each_gets_an_address_of_its_own(self, node, at_once):
        """Two dozen ADDs at once give the first two dozen addresses, each to one container, as the files say."""
        names = [f"c{number}" for number in range(24)]

        found = at_once(pool(ranges=[between(10, 99)]), names)

        assert {attachment.address for attachment in found} == {f"10.1.2.{last}" for last in range(10, 34)}
        assert {attachment.address: attachment.container_id for attachment in found} == {
            address: owner_of(said) for address, said in leases(node).items()
        }

    @pytest.mark.covers("host-local.ranges", "refused")
    def test_a_pool_is_used_up_exactly(self, node, at_once):
        """Of a dozen ADDs at once on eight addresses eight succeed, and four are rejected for want of one."""
        found = at_once(pool(ranges=[between(10, 17)]), [f"c{number}" for number in range(12)])

        assert len([one for one in found if one is None]) == 4
        assert len({one.address for one in found if one}) == 8
        assert len(leases(node)) == 8

    @pytest.mark.covers("host-local.ranges", "kernel")
    def test_two_families_stay_in_step(self, node, at_once):
        """ADDs at once on two sets give each container one address of each, none of them twice."""
        found = at_once(pool(ranges=[between(10, 29), [{"subnet": "2001:db8:1::/64"}]]), [f"c{n}" for n in range(12)])

        assert {len(one.addresses) for one in found} == {2}
        assert len({address for one in found for address in one.addresses}) == 24
        assert len(leases(node)) == 24

    @pytest.mark.covers("host-local.ranges", "DEL")
    def test_adds_and_dels_at_once(self, lab, cni, node):
        """Containers that come and go at once leave nothing, and at no time does one get another's address."""
        network = pool(ranges=[between(10, 10 + WORKERS - 1)])

        def churn(worker):
            runtime, found = Runtime(lab, cni.path), []
            for turn in range(4):
                attachment = runtime.add(node.sandbox("any"), network, container_id=f"w{worker}t{turn}")
                found.append((attachment.address, owner_of(leases(node)[attachment.address])))
                runtime.delete(attachment)
            return found

        with ThreadPoolExecutor(WORKERS) as pool_of_threads:
            turns = list(pool_of_threads.map(churn, range(WORKERS)))

        owners = [owner for found in turns for _, owner in found]
        assert owners == [f"w{worker}t{turn}" for worker in range(WORKERS) for turn in range(4)]
        assert leases(node) == {}
