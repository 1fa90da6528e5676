"""What the topology declares of a place, for what is no longer there."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_address, ip_interface, ip_network

from cnitest.explain.evidence.ip import fib
from cnitest.lab.place import Place
from cnitest.lab.snapshot.state import State
from cnitest.topology.building.steps import AddAddress, AddRoute
from cnitest.topology.model import Route
from cnitest.topology.words.ip_words import is_ipv6, route_words


def route(place: Place, question: fib.RouteLookup) -> str:
    """The declared route that would lead to a packet's destination, as ``ip route add`` takes it; empty without one."""
    found = _best(place, question)
    return route_words(found) if found else ""


def gateway(place: Place, question: fib.RouteLookup) -> str:
    """The gateway of that route, empty when it has none."""
    found = _best(place, question)
    return (found.via or "").removeprefix("inet6 ") if found else ""


def link(place: Place, question: fib.RouteLookup) -> str:
    """The link of that route, by its name or its gateway's subnet; empty where neither shows it."""
    found = _best(place, question)
    via = gateway(place, question)
    near = (
        step.link.name for step in addresses(place) if via and ip_address(via) in ip_interface(step.address).network
    )
    return (found.link or next(near, "")) if found else ""


def is_there(place: Place, state: State, question: fib.RouteLookup) -> bool:
    """Whether the place has that route, in whatever table, and whether or not it is taken."""
    found = _best(place, question)
    wanted = (_network(found.to, question), gateway(place, question)) if found else None
    rows = (row for row in state.routes if row.family == question.family and found)
    same = (row for row in rows if (_network(row.to, question), row.via) == wanted)
    return any(found is not None and found.link in (None, "", row.link) for row in same)


def _network(prefix: str, question: fib.RouteLookup) -> IPv4Network | IPv6Network:
    everything = "0.0.0.0/0" if question.family == 4 else "::/0"
    return ip_network(everything if prefix == "default" else prefix, strict=False)


def subnet(place: Place, address: str) -> str:
    """The address that a place was declared to have in whose subnet another one is; empty without one."""
    own = (step.address for step in addresses(place))
    return next((one for one in own if ip_address(address) in ip_interface(one).network), "")


def gone_with(place: Place, state: State, address: str) -> list[str]:
    """The declared routes by gateways in the subnet of an address that a place no longer has, or by its link, which
    lose them with the last address of IPv4."""
    subnet, six = ip_interface(address).network, ":" in address
    links = {step.link.name for step in addresses(place) if step.address == address}
    there = {(row.to, row.via) for row in state.routes}
    steps = (
        step.route for step in place.lab.plan.steps if isinstance(step, AddRoute) and step.place == place.full_name
    )
    return [
        route_words(found)
        for found in steps
        if is_ipv6(found) == six and (_leads_through(found, subnet) or (found.link in links and not found.via))
        if (found.to, found.via or "") not in there
    ]


def _leads_through(route: Route, subnet: IPv4Network | IPv6Network) -> bool:
    """Whether the gateway of a route, if it has one of its own family, is in a subnet."""
    via = route.via or ""
    return bool(via) and not via.startswith("inet") and ip_address(via) in subnet


def moved_back(place: Place, state: State, address: str) -> str:
    """The command that has an address on the link again that the topology has it on, with the routes that went with its
    subnet; empty where the place does not have it on another one."""
    row = next((row for row in state.addresses if row.ip == address), None)
    steps = [step for step in addresses(place) if step.address.partition("/")[0] == address]
    if row is None or not steps or any(step.link.name == row.link for step in steps):
        return ""
    return " && ".join((f"ip address del {row.address} dev {row.link}", *_again(place, state, steps[0])))


def given_again(place: Place, state: State, *, six: bool) -> str:
    """The command that gives a place all those addresses of a family again that the topology has it have and that are
    on none of its links, with the routes that went with their subnets; empty where it has them all. Link-local ones,
    which the kernel makes, are left out, and those of links that are gone."""
    there, links = {row.ip for row in state.addresses}, {link.name for link in state.links}
    lost = [one for one in addresses(place) if (":" in one.address) == six and one.link.name in links]
    lost = [one for one in lost if not one.address.startswith("fe80:")]
    lost = [step for step in lost if step.address.partition("/")[0] not in there]
    return " && ".join(dict.fromkeys(command for step in lost for command in _again(place, state, step)))


def _again(place: Place, state: State, step: AddAddress) -> list[str]:
    six = ":" in step.address
    gone = (f"ip {'-6 ' if six else ''}route add {words}" for words in gone_with(place, state, step.address))
    return [f"ip address add {step.address} dev {step.link.name}{' nodad' if six else ''}", *gone]


def _best(place: Place, question: fib.RouteLookup) -> Route | None:
    best, found = -1, None
    for step in place.lab.plan.steps:
        if not isinstance(step, AddRoute) or step.place != place.full_name or step.route.kind != "unicast":
            continue
        length = fib.reach(step.route.to, question) if is_ipv6(step.route) == (question.family == 6) else -1
        if length > best:
            best, found = length, step.route
    return found


def holders(place: Place, address: str) -> list[AddAddress]:
    """Which links were declared to have an address."""
    steps = (step for step in place.lab.plan.steps if isinstance(step, AddAddress))
    return [step for step in steps if step.address.partition("/")[0] == address]


def is_own(place: Place, address: str) -> bool:
    """Whether a place was declared to have an address."""
    return any(step.place == place.full_name for step in holders(place, address))


def addresses(place: Place) -> list[AddAddress]:
    """The addresses that a place was declared to have."""
    steps = (step for step in place.lab.plan.steps if isinstance(step, AddAddress))
    return [step for step in steps if step.place == place.full_name]
