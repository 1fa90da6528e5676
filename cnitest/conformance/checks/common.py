"""What several checks need first, and what they arrange: another network, an exhausted range, a flushed firewall."""

from __future__ import annotations

from typing import Any

from cnitest.cni import spec
from cnitest.cni.calls.invoke import Call
from cnitest.conformance.bench import request
from cnitest.conformance.bench.bench import AddResult, AttachmentTarget, Bench, Picture
from cnitest.conformance.model import protocol, space
from cnitest.conformance.model.finding import Undecided

#: Keys by which a range of addresses is configured.
RANGES = frozenset({"subnet", "subnets", "range", "ranges"})

#: How many addresses the network of `small` has.
SMALL = 8


def other_network(bench: Bench, container: str, ifname: str = "") -> AttachmentTarget:
    """A target in another network of the same plugins: the profile's second, or one that is derived."""
    name = f"{bench.subject.network}-b"
    other, *before = request.siblings(bench.subject)
    conf = {**bench.subject.conf, **(bench.setting.second or other)}
    return bench.target(container, ifname, network=name, conf=conf, before=tuple(before))


def other_ifname(bench: Bench) -> str:
    """A name for a container's second interface."""
    return "eth1" if bench.setting.ifname != "eth1" else "eth2"


def require_second_network(bench: Bench, call: Call) -> None:
    """Go on only when the network that was derived can be beside the first, as ``call``, its ADD, shows; one that a
    profile gives has to be able to."""
    if call.exit_code != 0 and bench.setting.second is None:
        bench.not_applicable(f"no second network could be derived from its configuration: {protocol.words(call)}")


def exhausted(bench: Bench) -> dict[str, Any]:
    """The subject's configuration with a range of a single address, where that can be said."""
    return _with_ranges(bench, _narrow(bench, space.families(bench.subject)[0]))


def half_exhausted(bench: Bench) -> dict[str, Any]:
    """The subject's configuration with room in its first family, and a single address in the second."""
    section, families = bench.subject.conf.get("ipam"), space.families(bench.subject)
    if len(families) < 2 or not isinstance(section, dict) or "ranges" not in section:
        bench.not_applicable("its configuration has no ranges of both families")
    free = space.network(bench.subject, families[0], 1)
    return _with_ranges(bench, {"ranges": [[{"subnet": str(free)}], [_narrow(bench, families[1])]]})


def small(bench: Bench, family: int) -> dict[str, Any]:
    """The subject's configuration with one network of `SMALL` addresses of a family."""
    free = space.network(bench.subject, family)
    return _with_ranges(bench, {"subnet": f"{free[0]}/{free.max_prefixlen - 3}"})


def _narrow(bench: Bench, family: int) -> dict[str, str]:
    """A range of a single address."""
    free = space.network(bench.subject, family)
    only, length = str(free[2]), free.max_prefixlen - 2
    return {"subnet": f"{free[0]}/{length}", "rangeStart": only, "rangeEnd": only}


def _with_ranges(bench: Bench, ranges: dict[str, Any]) -> dict[str, Any]:
    """The subject's configuration with other ranges than its own."""
    section = bench.subject.conf.get("ipam")
    if not isinstance(section, dict) or not ({"ranges", "subnet"} & set(section)):
        bench.not_applicable("its configuration has no range of addresses that could be narrowed")
    own = ("ranges", "subnet", "rangeStart", "rangeEnd", "gateway")
    rest = {key: value for key, value in section.items() if key not in own}
    return {**bench.subject.conf, "ipam": {**rest, **ranges}}


def require_delegate(bench: Bench) -> None:
    """Go on only with a plugin that calls an IPAM plugin."""
    if not bench.subject.ipam:
        bench.not_applicable("it delegates to no IPAM plugin")


def flush(bench: Bench) -> None:
    """Remove every firewall rule and chain of the host."""
    bench.run("nft", "flush", "ruleset")
    for program in ("iptables-legacy", "ip6tables-legacy"):
        if program in bench.node.state().firewall:
            for table in ("filter", "nat", "mangle"):
                for option in ("-F", "-X"):
                    bench.run(program, "-t", table, option)


def attached(bench: Bench, container: str) -> tuple[AddResult, Picture, Picture]:
    """An attachment, with pictures around its ADD."""
    target = bench.target(container)
    bench.chain(target)
    before = bench.look(target)
    made = bench.attach(target)
    return made, before, bench.look(target)


def require_check(bench: Bench, made: AddResult) -> None:
    """Go on only where CHECK succeeds right after ADD."""
    if protocol.failed(bench.check(made)):
        raise Undecided("CHECK fails right after ADD, which CHK-01 reports")


def come_and_go(bench: Bench, target: AttachmentTarget, words: str) -> None:
    """ADD and DEL of a target, which have to succeed; ``words`` say what is special about it."""
    call = bench.add(target)
    bench.complain(*protocol.success(call), prefix=f"{words}: ADD: ")
    document = protocol.result_document(call)
    previous = document if spec.has_check(bench.version) else None
    bench.complain(*protocol.success(bench.raw("DEL", target, previous=previous)), prefix=f"{words}: DEL: ")
    bench.unchain(target, document)


def come_and_go_as_ever(bench: Bench) -> None:
    """ADD and DEL of the ordinary attachment, which have to succeed. Raises NotApplicable where a profile prepares each
    container, and what it prepared serves one ADD alone."""
    bench.detach(bench.attach())
    if not bench.setting.container_setup:
        return
    again = bench.add(bench.target())
    if protocol.failed(again):
        bench.not_applicable(f"what container_setup prepares serves one ADD: {protocol.words(again)}")
    bench.detach(AddResult(bench.target(), again, protocol.result_document(again) or {}, bench.chain(bench.target())))


def of_lost(bench: Bench, made: AddResult, netns: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options of a call for a container that has no namespace any more."""
    target = made.target
    changes = {
        "CNI_CONTAINERID": target.container_id,
        "CNI_IFNAME": target.ifname,
        "CNI_ARGS": target.args,
        **options.get("changes", {"CNI_NETNS": netns}),
    }
    stdin = bench.request(target, bench.final(made))
    return {**options, "changes": changes, "stdin": stdin}
