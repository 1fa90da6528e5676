"""What each verb of a step does: the verbs of CNI, and what happens to hosts and containers besides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cnitest.cni import spec
from cnitest.conformance.bench.bench import Made
from cnitest.conformance.bench.leftovers import AFTER_A_NAMESPACE, settle
from cnitest.conformance.model import form, judge, requirement
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.observe.tamper import tamperings
from cnitest.fuzz.execute.scenario_run import World
from cnitest.fuzz.model.example import Validity
from cnitest.fuzz.model.scenario import Step
from cnitest.fuzz.model.violation import Trouble
from cnitest.fuzz.oracles import truths
from cnitest.fuzz.oracles.attached import Attached, crashes

#: How many ways to tamper can be told apart by a verb; attachments with fewer take turns.
TAMPERINGS = 12
# Whether the container can be reached is not what all of a chain look for.
_REACHED = "CHK-13"
_TOGETHER = ("p1", "p2", "p3")


def lose(world: World, step: Step) -> None:
    """The container's namespace goes without a DEL, as after a crash."""
    sandbox = world.slot(step).sandbox
    for one in world.attached.values():
        if one.slot.sandbox.name == sandbox.name and not one.lost:
            one.lost = True
    ends = {link.parent.removeprefix("@") for link in sandbox.links if link.kind == "veth"}
    world.bench.lose(sandbox.name)
    _wait_for(world, ends)


def _wait_for(world: World, ends: Collection[str]) -> None:
    """Wait until the kernel has removed the host's ends of links into a namespace: it does so behind us, and whoever
    is called next would be blamed. ``ends`` are their indices as text."""

    def there() -> list[str]:
        return [f"host: + links {link.name}" for link in world.bench.node.links if str(link.ifindex) in ends]

    settle(there, AFTER_A_NAMESPACE)


def restart(world: World, step: Step) -> None:
    """The container goes without a DEL, and another comes under its name: DEL, then ADD."""
    lose(world, step)
    there = [one for one in world.attached.values() if one.step.container == step.container]
    for one in there:
        world.delete(one.step)
    world.add(step)


def forget(world: World, step: Step) -> None:
    """The runtime loses its cache: the next DEL has no result to give."""
    one = world.attached.get(world.key(step))
    if one is not None:
        one.result = None


def reboot(world: World, _: Step) -> None:
    """The machine starts again: files stay, what the kernel had is gone; the runtime deletes what it knows of."""
    world.spent = True
    for name in {one.slot.sandbox.name for one in world.attached.values() if not one.lost}:
        world.bench.lose(name)
    _wait_for(world, {str(link.ifindex) for link in world.bench.node.links if "@" in link.parent})
    for link in world.bench.node.links:
        if link.name not in world.standing and "@" not in link.parent:
            world.bench.run("ip", "link", "del", link.name, check=False)
    world.bench.run("nft", "flush", "ruleset", check=False)
    for one in list(world.attached.values()):
        one.lost = True
        world.delete(one.step)


def upgrade(world: World, _: Step) -> None:
    """From now on the plugins are those of the other release."""
    world.spent = True
    if world.next_path:
        world.bench.upgrade(*world.next_path)


def drop_forward(world: World, _: Step) -> None:
    """Another engine of containers sets the policy of FORWARD to DROP."""
    world.spent = True
    world.bench.run("iptables", "-w", "-P", "FORWARD", "DROP")
    world.forwards = False
    for one in world.attached.values():  # firewall lets pass what a container begins, and nothing that others do
        one.beyond = truths.begun(one) if one.has("firewall") else ()


def meddle(world: World, step: Step) -> None:
    """Somebody deletes the interface inside the container."""
    one = world.attached.get(world.key(step))
    if one is None or one.lost or one.slot.ifname == "lo":
        return
    try:
        world.bench.run("ip", "link", "del", one.slot.ifname, at=one.slot.sandbox)
    except Undecided:
        return
    one.broken = True


def tamper(world: World, step: Step, number: int) -> None:
    """Somebody changes one thing that ADD has made, and CHECK is to notice it."""
    one = world.attached.get(world.key(step))
    if one is None or not _can_be_checked(one) or world.has_others(one):
        return
    checks = world.call.check(one.example, one.slot, one.result)
    made = Made(one.slot, checks[-1], one.result or {}, None)
    found = tamperings(world.bench, made, one.before, world.bench.look(one.slot))
    ways = [way for way in found if way.requirement != _REACHED]
    if not ways or judge.failed(checks[-1]):
        return
    way = ways[number % len(ways)]
    try:
        way.apply(world.bench, made)
    except Undecided:
        return
    one.broken = True
    calls = world.call.check(one.example, one.slot, one.result)
    world.note(crashes(calls))
    if not any(judge.failed(call) for call in calls):
        says = requirement.find(way.requirement).says.rstrip(".").removeprefix("CHECK fails when ")
        world.note([Trouble("check", calls[-1].plugin, f"CHECK succeeds though {says}", f"though {way.words}")])


def _can_be_checked(one: Attached) -> bool:
    there = not (one.lost or one.broken) and one.result is not None and one.slot.ifname != "lo"
    return there and spec.has_check(one.version) and one.example.validity is Validity.VALID


def add_together(world: World, step: Step) -> None:
    """Three containers are added at the same time; no two get the same address."""
    steps = [Step("ADD", step.network, name, step.ifname) for name in _TOGETHER]
    steps = [each for each in steps if world.key(each) not in world.attached and not world.is_foreign(each)]
    slots = [world.slot(each) for each in steps]
    befores = [world.bench.look(slot) for slot in slots]
    example = world.networks[step.network]
    with ThreadPoolExecutor(len(_TOGETHER)) as pool:
        found = list(pool.map(lambda slot: world.call.add(example, slot), slots))
    for each, slot, before, (calls, result) in zip(steps, slots, befores, found, strict=True):
        world.note(crashes(calls))
        if result is None:
            world.note(crashes(world.call.delete(example, slot, None)))
        else:
            world.keep(each, slot, before, result).own = frozenset()  # what three brought together is nobody's own
    together = [world.attached[world.key(each)] for each in steps if world.key(each) in world.attached]
    for one in together:
        plugin = str(one.example.plugins[0].get("type", ""))
        world.note(truths.of_result(world.bench, one, plugin, others=world.has_others(one)))
    _unique(world, together)


def _unique(world: World, together: Sequence[Attached]) -> None:
    seen: set[str] = set()
    for one in together:
        for ip in form.ips(one.result or {}, one.version):
            address = ip.address.partition("/")[0]
            if address in seen and one.example.chooses_addresses:
                world.note([Trouble("address", "", f"the address {address} is given twice at the same time")])
            seen.add(address)


#: By its name in a step: what it does.
VERBS: Mapping[str, Callable[[World, Step], None]] = {
    "ADD": World.add,
    "CHECK": World.check,
    "DEL": World.delete,
    "GC": World.gc,
    "STATUS": World.status,
    "LOSE": lose,
    "RESTART": restart,
    "FORGET": forget,
    "REBOOT": reboot,
    "UPGRADE": upgrade,
    "FORWARD-DROP": drop_forward,
    "MEDDLE": meddle,
    **{f"TAMPER-{number}": partial(tamper, number=number) for number in range(TAMPERINGS)},
    "ADD-TOGETHER": add_together,
}
