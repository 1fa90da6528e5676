"""The commands of ip(8) that build a planned topology around a host, which is where the script itself is."""

from __future__ import annotations

from collections.abc import Iterator

from cnitest.conformance.repro.quote import quoted
from cnitest.topology.building.plan import Plan
from cnitest.topology.building.steps import (
    AddAddress,
    AddForwarding,
    AddLink,
    AddNames,
    AddNeighbour,
    AddRoute,
    AddRule,
    AddVlans,
    Command,
    Firewall,
    Handle,
    SetLink,
    SetPort,
    Sysctl,
)
from cnitest.topology.building.steps import Step as PlanStep
from cnitest.topology.link_kinds import KINDS


class PlaceNames:
    """Where the places of a plan are: the host is the script's own namespace, containers have their own name, and the
    other machines are called ``m-NAME``."""

    def __init__(self, plan: Plan, host: str) -> None:
        self._plan = plan
        self._host = host
        self._names = {(h.place, h.ifindex): h.name for s in plan.steps if isinstance(s, AddLink) for h in _made(s)}

    def name(self, place: str) -> str:
        """The namespace of a place, by its full name."""
        if place == self._host:
            return "-"
        head, slash, container = place.partition("/")
        return container if slash and head == self._host else f"m-{place.replace('/', '-')}"

    def commands(self) -> Iterator[str]:
        """All of them, a line each."""
        for place in self._plan.places:
            if place != self._host:
                yield f"must ip netns add {self.name(place)}"
        for step in self._plan.steps:
            yield from (f"must {command}" if not command.startswith("tune") else command for command in self._of(step))

    def _ip(self, place: str) -> str:
        return "ip" if place == self._host else f"ip -n {self.name(place)}"

    def _netns(self, place: str) -> str:
        return "1" if place == self._host else self.name(place)

    def _of(self, step: PlanStep) -> Iterator[str]:
        match step:
            case Sysctl():
                yield f"tune {self.name(step.place)} {quoted(step.name)} {quoted(step.value)}"
            case AddLink():
                yield from self._add(step)
            case SetLink():
                yield from self._set(step)
            case SetPort():
                flags = f"hairpin {_switch(step.hairpin)} isolated {_switch(step.isolated)}"
                yield f"{self._ip(step.place)} link set {step.link.name} type bridge_slave {flags}"
            case Firewall():
                yield from self._firewall(step)
            case Command():
                yield f"within {self.name(step.place)} {' '.join(map(quoted, step.argv))}"
            case _:
                yield from self._tables(step)

    def _tables(self, step: PlanStep) -> Iterator[str]:
        """Addresses, routes and what else one command adds to a table."""
        match step:
            case AddAddress():
                command = "replace" if step.replace else "add"
                nodad = " nodad" if ":" in step.address and not step.dad else ""
                yield f"{self._ip(step.place)} address {command} {step.address} dev {step.link.name}{nodad}"
            case AddRoute() | AddRule() | AddNames() | AddNeighbour():
                yield f"{self._ip(step.place)}{str(step).removeprefix(step.place + ': ip')}"
            case AddVlans() | AddForwarding():
                inside = "" if step.place == self._host else f" -n {self.name(step.place)}"
                yield f"bridge{inside}{str(step).removeprefix(step.place + ': bridge')}"

    def _add(self, step: AddLink) -> Iterator[str]:
        row = KINDS[step.kind]
        if row.command == "tuntap add":
            inside = "" if step.place == self._host else f"ip netns exec {self.name(step.place)} "
            yield f"{inside}ip tuntap add dev {step.link.name} mode {step.kind}"
        else:
            words = [
                self._ip(step.place),
                row.command,
                *([f"link {step.parent.name}"] if step.parent and row.parent_first else []),
            ]
            words += [f"name {step.link.name}", *_common(step.mac, step.model.mtu)]
            if step.link.place != step.place:
                words.append(f"netns {self._netns(step.link.place)}")
            yield " ".join([*words, *self._kind(step)])
        if step.master:
            yield f"{self._ip(step.place)} link set {step.link.name} master {self._names[step.place, step.master]}"
        if step.up:
            yield f"{self._ip(step.link.place)} link set {step.link.name} up"

    def _kind(self, step: AddLink) -> Iterator[str]:
        yield f"type {step.kind}"
        yield from KINDS[step.kind].words(step.model)
        if step.peer:
            yield f"peer name {step.peer.name}"
            yield from _common(step.peer_mac, step.peer_mtu)
            if step.peer.place != step.place:
                yield f"netns {self._netns(step.peer.place)}"

    def _set(self, step: SetLink) -> Iterator[str]:
        words = [f"{self._ip(step.place)} link set {step.link.name}"]
        if step.mtu:
            words.append(f"mtu {step.mtu}")
        if step.master:
            words.append(f"master {self._names[step.place, step.master]}")
        yield " ".join([*words, "up" if step.up else "down"])

    def _firewall(self, step: Firewall) -> Iterator[str]:
        inside = f"within {self.name(step.place)} "
        if step.program == "nft":
            yield f"{inside}nft {quoted(chr(10).join(step.lines))}"
        elif step.program.endswith("-restore"):
            script = f'printf "%s\\n" "$@" | {step.program} -w'
            yield f"{inside}bash -c {quoted(script)} - {' '.join(map(quoted, step.lines))}"
        else:
            yield from (f"{inside}{step.program} -w {line}" for line in step.lines)


def _made(step: AddLink) -> Iterator[Handle]:
    yield step.link
    if step.peer:
        yield step.peer


def _common(mac: str | None, mtu: int | None) -> Iterator[str]:
    if mac:
        yield f"address {mac}"
    if mtu:
        yield f"mtu {mtu}"


def _switch(on: bool) -> str:
    return "on" if on else "off"
