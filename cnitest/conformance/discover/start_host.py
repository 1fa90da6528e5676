"""Why a network's first ADD failed, where the host, or the link that the plugin makes, is another than it supposes.

They are asked after those of `start_causes`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from cnitest.conformance.discover.preflight import StartFailure
from cnitest.conformance.discover.start_causes import cause
from cnitest.kernel import mounts
from cnitest.topology.words.address import ip, prefix

_OTHER_ADDRESS = re.compile(r'"([^"\s/]{1,15})" already has an IP address different from ([0-9a-fA-F.:/]+)')
#: The names of a pod in CNI_ARGS, as containerd and CRI-O hand them over, and how plugins speak of them.
_OF_PODS = {
    "K8S_POD_NAMESPACE": re.compile(r"K8S_POD_NAMESPACE|\bpod.?s?.namespace\b", re.I),
    "K8S_POD_NAME": re.compile(r"K8S_POD_NAME\b|\bpod.?s?.name\b", re.I),
    "K8S_POD_INFRA_CONTAINER_ID": re.compile(r"K8S_POD_INFRA_CONTAINER_ID|\bpod.?infra.?container.?id\b", re.I),
}
_NO_CHAIN = re.compile(r"Chain '([^']+)' does not exist|(?:Couldn't load target|chain) [`'\"]([^`'\"]+)['\"]")

# How plugins speak of a file that keeps them from going on, and what they may mean by it.
_IN_THE_WAY = re.compile(r"lock|exists|running|in use|busy|\bheld\b|\.pid\b", re.I)
_PATH = re.compile(r"(?<![\w./])(?:/[^\s\"'`,;:()\[\]{}<>/]+)+")


@cause
def file_of_the_machine_is_in_the_way(failure: StartFailure) -> Iterator[str]:
    """A lock, or another file, that an earlier call left in a directory of the machine, which all hosts share."""
    named = dict.fromkeys(path.rstrip(".") for path in _PATH.findall(failure.text))
    for path in named if _IN_THE_WAY.search(failure.text) else ():
        shared = os.path.isfile(path) and not os.access(path, os.X_OK) and not mounts.is_own(os.path.dirname(path))
        if shared:
            yield (
                f"{path}, which all hosts share with this machine, was there before: an earlier call of "
                f"{failure.plugin}, in this run or before, left it. Remove it, and have the plugin do so whatever "
                "becomes of a call; below /run each host has files of its own"
            )


@cause
def bridge_has_another_address(failure: StartFailure) -> Iterator[str]:
    """The bridge is to be the gateway of a subnet, and has an address of another one."""
    for bridge, wanted in _OTHER_ADDRESS.findall(failure.text):
        found = prefix(wanted) or ip(wanted)
        family = found.family if found else 4
        subnets = _subnets(failure.ipam, family)
        before = [each for each in _addresses(failure.links.get(bridge, "")) if (":" in each) == (family == 6)]
        if before and not all(_is_in(each, subnets) for each in before):
            yield (
                f"the host's {bridge} has {', '.join(before)}, and the gateway that ipam gives is {wanted}: give it "
                "that gateway, name another bridge, or set forceAddress, which takes the others away"
            )
            continue
        if len(subnets) > 1:
            yield (
                f"ipam gives one IPv{family} address of each of its sets of ranges ({', '.join(subnets)}), and a "
                f"bridge is the gateway of one IPv{family} subnet: leave one set (the ranges in a set are "
                "alternatives), or make the bridge no gateway"
            )


def _addresses(link: str) -> list[str]:
    """The addresses in what a report says of a link: ``bridge, 10.0.0.1/24``."""
    return [word for word in link.split(", ")[1:] if prefix(word)]


def _is_in(address: str, subnets: list[str]) -> bool:
    """Whether an address lies in one of the subnets: then ADD itself has given it to the bridge."""
    return any(network.covers(found) for each in subnets if (network := prefix(each)) and (found := prefix(address)))


def _subnets(ipam: Mapping[str, object], family: int) -> list[str]:
    """The first subnet of each set of ranges that is of a family; the section itself can be a set of one."""
    sets = ipam.get("ranges")
    ranges = [each[0] for each in sets if isinstance(each, list) and each] if isinstance(sets, list) else []
    texts = [str(each.get("subnet", "")) for each in (ipam, *ranges) if isinstance(each, Mapping)]
    return [text for text in texts if (found := prefix(text)) and found.family == family]


@cause
def chain_is_not_there(failure: StartFailure) -> Iterator[str]:
    """A key names a chain of iptables that somebody else makes, and nobody has made it."""
    for name in dict.fromkeys(one or other for one, other in _NO_CHAIN.findall(failure.text)):
        for key in (key for key, value in failure.conf.items() if value == name):
            where = failure.advice("with host_setup in a profile", "before ADD", "with setup in a topology of yours")
            yield (
                f"{key} is {name!r}, a chain that the host does not have: make it {where} (iptables -t nat -N {name}), "
                f"or leave {key} out"
            )


@cause
def pod_is_not_named(failure: StartFailure) -> Iterator[str]:
    """The plugin wants the names of a pod in CNI_ARGS, and gets none."""
    given = failure.subject.setting.args
    if any(pattern.search(failure.text) and name not in given for name, pattern in _OF_PODS.items()):
        pairs = {"IgnoreUnknown": "1", "K8S_POD_NAMESPACE": "default", "K8S_POD_NAME": "web"}
        pairs["K8S_POD_INFRA_CONTAINER_ID"] = "c1"
        wanted = ", ".join(f'{key}: "{value}"' if value == "1" else f"{key}: {value}" for key, value in pairs.items())
        advice = failure.advice(
            f"say them in a cnitest.yaml beside the configuration: 'args: {{{wanted}}}'",
            f"call cni.add with args={pairs!r}",
            "no command hands any over; a test does, with cni.add(…, args=…)",
        )
        yield f"it wants the names of a pod, which Kubernetes' runtimes hand over in CNI_ARGS: {advice}"
