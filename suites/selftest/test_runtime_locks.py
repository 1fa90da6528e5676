"""Who waits for whom (RT-11, RT-12): the specification's rules on operations at the same time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from cnitest.suites.selftest import bare
from cnitest.suites.selftest.plugins import RESULT, script

from cnitest import PluginError, Runtime
from cnitest.cni.calls.locks import Locks
from cnitest.errors import DeadlineExceeded

lab, sandbox, bin_, cni = bare.lab, bare.sandbox, bare.bin_, bare.cni

NET = {"cniVersion": "1.1.0", "name": "net", "type": "meet"}
#: Waits until as many calls of one command are under way as the file ``expected`` says; fails when they never are.
MEET = """
cd {dir}
[ $CNI_COMMAND != DEL ] || exit 0
read expected < expected
: > here.$CNI_COMMAND.$CNI_CONTAINERID.$CNI_IFNAME
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
  set -- here.*
  [ $# -lt $expected ] || {{ echo '{result}'; exit 0; }}
  sleep 0.04
done
echo '{{"code": 100, "msg": "alone"}}'; exit 1
"""


@pytest.fixture
def meet(bin_, tmp_path):
    """A plugin whose call succeeds only beside another one."""
    script(bin_, "meet", MEET.format(dir=tmp_path, result=RESULT))
    (tmp_path / "expected").write_text("2\n")


def together(*functions):
    """Run functions at the same time; what each raised, or None."""
    with ThreadPoolExecutor(len(functions)) as pool:
        return [done.exception(timeout=30) for done in [pool.submit(function) for function in functions]]


@pytest.mark.usefixtures("meet")
class TestOperations:
    """Operations of a runtime, each from a thread of its own."""

    def test_one_container_takes_one_operation_at_a_time(self, cni, sandbox):
        """Two ADDs of one container never run beside each other, not even to different networks."""
        failures = together(
            lambda: cni.add(sandbox, NET, "eth0"), lambda: cni.add(sandbox, {**NET, "name": "other"}, "eth1")
        )

        assert sum("alone" in str(failure) for failure in failures) == 1  # the second one finds the first one's mark

    def test_other_containers_go_on_in_parallel(self, cni, lab):
        """ADDs of two containers to one network are under way at the same time."""
        node = lab.host("node")
        failures = together(*(lambda name=name: cni.add(node.sandbox(name), NET) for name in ("c1", "c2")))

        assert failures == [None, None]

    def test_gc_waits_for_add_and_add_for_gc(self, cni, lab):
        """GC of a network and ADD to it are never under way at the same time."""
        node = lab.host("node")
        failures = together(lambda: cni.add(node.sandbox("c1"), NET), lambda: cni.gc(node, NET, keep=[]))

        assert sum("alone" in str(failure) for failure in failures) == 1

    def test_gc_of_another_network_is_in_nobodys_way(self, cni, lab):
        """GC and an ADD to another network run beside each other."""
        node = lab.host("node")
        failures = together(lambda: cni.add(node.sandbox("c1"), NET), lambda: cni.gc(node, {**NET, "name": "other"}))

        assert failures == [None, None]

    def test_libcni_locks_nothing(self, lab, sandbox, bin_):
        """In the mode libcni two ADDs of one container, and a GC beside them, run at the same time."""
        cni = Runtime(lab, [str(bin_)], mode="libcni")
        (bin_.parent / "expected").write_text("3\n")
        failures = together(
            lambda: cni.add(sandbox, NET, "eth0"),
            lambda: cni.add(sandbox, NET, "eth1"),
            lambda: cni.gc(lab.host("node"), NET),
        )

        assert failures == [None, None, None]


@pytest.mark.parametrize("name", ["lock_timeout", "patience"])
def test_a_wait_ends_with_a_sentence(lab, sandbox, bin_, name):
    """After its timeout an operation gives up, says for whom it waited, and has called no plugin."""
    script(bin_, "slow", f"[ $CNI_COMMAND != ADD ] || while [ ! -e {bin_}/end ]; do sleep 0.01; done; echo '{RESULT}'")
    cni = Runtime(lab, [str(bin_)], **{name: 0.1})
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(cni.add, sandbox, {**NET, "type": "slow"})
        while not cni._locks._holders:
            time.sleep(0.001)
        with pytest.raises(DeadlineExceeded) as failure:
            cni.add(sandbox, {**NET, "name": "other", "type": "slow"}, "eth1")
        (bin_ / "end").touch()
        first.result(timeout=10)

    assert str(failure.value) == (
        "timed out after 0.1 s: waiting for ADD of net on node (container c1, ifname eth0) to end, so that "
        "ADD of other on node (container c1, ifname eth1) may begin: "
        "a container takes one operation at a time (SPEC section 3)"
    )
    assert [call.environment["CNI_IFNAME"] for call in cni.calls] == ["eth0"]


def test_a_failure_lets_go(cni, sandbox, bin_):
    """After an ADD that failed the container can be used at once."""
    script(bin_, "one", "exit 1")
    with pytest.raises(PluginError):
        cni.add(sandbox, {**NET, "type": "one"})
    script(bin_, "one", f"echo '{RESULT}'")

    assert cni.add(sandbox, {**NET, "type": "one"})


def test_who_wants_to_be_alone_is_not_starved():
    """While somebody waits to be alone nobody new comes in beside those who are there."""
    locks, order = Locks(10), []
    leave = threading.Event()

    def shared(name, wait=None):
        with locks.together(("k",), name, ""):
            order.append(name)
            if wait:
                assert wait.wait(10)

    def alone():
        with locks.alone(("k",), "alone", ""):
            order.append("alone")

    with ThreadPoolExecutor(3) as pool:
        tasks = [pool.submit(shared, "first", leave)]
        while "first" not in order:
            time.sleep(0.001)
        tasks.append(pool.submit(alone))
        while not locks._wants_alone[("k",)]:
            time.sleep(0.001)
        tasks.append(pool.submit(shared, "late"))
        leave.set()
        for task in tasks:
            task.result(timeout=10)

    assert order == ["first", "alone", "late"]
