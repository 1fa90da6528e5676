"""What each operation of a step does: the operations of CNI, and what happens to hosts and containers besides."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench.bench import AddResult
from cnitest.conformance.bench.leftovers import AFTER_A_NAMESPACE, Leftover, settle
from cnitest.conformance.model import form, protocol, requirement
from cnitest.conformance.model.finding import Undecided
from cnitest.conformance.observe.tamper import Tampering, tamperings
from cnitest.fuzz.execute.scenario_run import ScenarioRun
from cnitest.fuzz.model.example import Validity
from cnitest.fuzz.model.scenario import Step
from cnitest.fuzz.model.violation import Violation
from cnitest.fuzz.oracles import invariants
from cnitest.fuzz.oracles.attached import Attached, crashes
from cnitest.lab.snapshot.difference import Difference

#: How many ways to tamper an operation can choose from; attachments with fewer take turns.
TAMPERINGS = 12
# Whether the container can be reached is not what all of a chain look for.
_REACHED = "CHK-13"
# What the first plugin of a chain made: the interface, its MAC, its addresses, its routes, and its attributes.
_OF_THE_FIRST = ("CHK-05", "CHK-06", "CHK-07", "CHK-08", "CHK-20")
_TOGETHER = ("p1", "p2", "p3")


def lose(scenario_run: ScenarioRun, step: Step) -> None:
    """The container's namespace goes without a DEL, as after a crash."""
    sandbox = scenario_run.target(step).sandbox
    for one in scenario_run.attached.values():
        if one.target.sandbox.name == sandbox.name and not one.lost:
            one.lost = True
    ends = {link.parent.removeprefix("@") for link in sandbox.links if link.kind == "veth"}
    scenario_run.bench.lose(sandbox.name)
    _wait_for(scenario_run, ends)


def _wait_for(scenario_run: ScenarioRun, ends: Collection[str]) -> None:
    """Wait until the kernel has removed the host's ends of links into a namespace: it does so behind us, and whoever
    is called next would be blamed. ``ends`` are their indices as text."""

    def there() -> list[Leftover]:
        node = scenario_run.bench.node
        links = (link for link in node.links if str(link.ifindex) in ends)
        return [Leftover(node.full_name, Difference("links", link.name, None, link)) for link in links]

    settle(there, AFTER_A_NAMESPACE)


def restart(scenario_run: ScenarioRun, step: Step) -> None:
    """The container goes without a DEL, and another comes under its name: DEL, then ADD."""
    lose(scenario_run, step)
    there = [one for one in scenario_run.attached.values() if one.step.container == step.container]
    for one in there:
        scenario_run.delete(one.step)
    scenario_run.add(step)


def forget(scenario_run: ScenarioRun, step: Step) -> None:
    """The runtime loses its cache: the next DEL has no result to give."""
    one = scenario_run.attached.get(scenario_run.key(step))
    if one is not None:
        one.result = None


def reboot(scenario_run: ScenarioRun, _: Step) -> None:
    """The machine starts again: files stay, what the kernel had is gone; the runtime deletes what it knows of."""
    scenario_run.spent = True
    for name in {one.target.sandbox.name for one in scenario_run.attached.values() if not one.lost}:
        scenario_run.bench.lose(name)
    _wait_for(scenario_run, {str(link.ifindex) for link in scenario_run.bench.node.links if "@" in link.parent})
    for link in scenario_run.bench.node.links:
        if link.name not in scenario_run.host_links and "@" not in link.parent:
            scenario_run.bench.run("ip", "link", "del", link.name, check=False)
    scenario_run.bench.run("nft", "flush", "ruleset", check=False)
    for one in list(scenario_run.attached.values()):
        one.lost = True
        scenario_run.delete(one.step)


def upgrade(scenario_run: ScenarioRun, _: Step) -> None:
    """From now on the plugins are those of the other release."""
    scenario_run.spent = True
    if scenario_run.next_path:
        scenario_run.bench.upgrade(*scenario_run.next_path)


def drop_forward(scenario_run: ScenarioRun, _: Step) -> None:
    """Another engine of containers sets the policy of FORWARD to DROP."""
    scenario_run.spent = True
    scenario_run.bench.run("iptables", "-w", "-P", "FORWARD", "DROP")
    scenario_run.forwards = False
    for one in scenario_run.attached.values():  # firewall lets pass what a container begins, and nothing that others do
        one.beyond = invariants.begun(one) if invariants.admits_begun(one) else ()


def meddle(scenario_run: ScenarioRun, step: Step) -> None:
    """Somebody deletes the interface inside the container."""
    one = scenario_run.attached.get(scenario_run.key(step))
    if one is None or one.lost or one.target.ifname == "lo":
        return
    try:
        scenario_run.bench.run("ip", "link", "del", one.target.ifname, at=one.target.sandbox)
    except Undecided:
        return
    one.broken = True


def tamper(scenario_run: ScenarioRun, step: Step, number: int) -> None:
    """Somebody changes one thing that ADD has made, and CHECK is to notice it."""
    one = scenario_run.attached.get(scenario_run.key(step))
    if one is None or not _can_be_checked(one) or scenario_run.has_others(one):
        return
    checks = scenario_run.call.check(one.example, one.target, one.result)
    made = AddResult(one.target, checks[-1], one.result or {}, None)
    found = tamperings(scenario_run.bench, made, one.before, scenario_run.bench.look(one.target))
    ways = [way for way in found if way.requirement != _REACHED]
    if not ways or protocol.failed(checks[-1]):
        return
    way = ways[number % len(ways)]
    try:
        way.apply(scenario_run.bench, made)
    except Undecided:
        return
    one.broken = True
    calls = scenario_run.call.check(one.example, one.target, one.result)
    scenario_run.note(crashes(calls))
    if not any(protocol.failed(call) for call in calls):
        says = requirement.find(way.requirement).says.rstrip(".").removeprefix("CHECK fails when ")
        scenario_run.note(
            [Violation("check", _whose_check(calls, way), f"CHECK succeeds though {says}", f"though {way.words}")]
        )


def _whose_check(calls: Sequence[Call], way: Tampering) -> str:
    """The plugin of a list whose CHECK had to notice it."""
    return calls[0 if way.requirement in _OF_THE_FIRST else -1].plugin


def _can_be_checked(one: Attached) -> bool:
    there = not (one.lost or one.broken) and one.result is not None and one.target.ifname != "lo"
    return there and spec.has_check(one.version) and one.example.validity is Validity.VALID


def add_together(scenario_run: ScenarioRun, step: Step) -> None:
    """Three containers are added at the same time; no two get the same address."""
    steps = [Step("ADD", step.network, name, step.ifname) for name in _TOGETHER]
    steps = [
        each
        for each in steps
        if scenario_run.key(each) not in scenario_run.attached and not scenario_run.is_foreign(each)
    ]
    targets = [scenario_run.target(each) for each in steps]
    befores = [scenario_run.bench.look(target) for target in targets]
    example = scenario_run.networks[step.network]
    with ThreadPoolExecutor(len(_TOGETHER)) as pool:
        found = list(pool.map(lambda target: scenario_run.call.add(example, target), targets))
    for each, target, before, (calls, result) in zip(steps, targets, befores, found, strict=True):
        scenario_run.note(crashes(calls))
        if result is None:
            scenario_run.note(crashes(scenario_run.call.delete(example, target, None)))
        else:
            scenario_run.keep(
                each, target, before, result
            ).own = frozenset()  # what three brought together is nobody's own
    together = [
        scenario_run.attached[scenario_run.key(each)]
        for each in steps
        if scenario_run.key(each) in scenario_run.attached
    ]
    for one in together:
        scenario_run.note(invariants.of_result(scenario_run.bench, one, others=scenario_run.has_others(one)))
    _unique(scenario_run, together)


def _unique(scenario_run: ScenarioRun, together: Sequence[Attached]) -> None:
    seen: set[str] = set()
    for one in together:
        for ip in form.ips(one.result or {}, one.version):
            address = ip.address.partition("/")[0]
            if address in seen and one.example.chooses_addresses:
                scenario_run.note([Violation("address", "", f"the address {address} is given twice at the same time")])
            seen.add(address)


#: By its name in a step: what it does.
OPERATIONS: Mapping[str, Callable[[ScenarioRun, Step], None]] = {
    "ADD": ScenarioRun.add,
    "CHECK": ScenarioRun.check,
    "DEL": ScenarioRun.delete,
    "GC": ScenarioRun.gc,
    "STATUS": ScenarioRun.status,
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
