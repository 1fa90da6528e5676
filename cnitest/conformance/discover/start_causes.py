"""Why a network's first ADD failed, where that can be read off the call, the configuration and the host.

A cause is a function with ``@cause``: it gets what is known of the failure and yields sentences, each with what to do.
Here are those of the host and of what stands in the configuration; `start_endings` asks them, and has those of what the
call itself shows.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cnitest.cni.conf import LONGEST_FILE_NAME
from cnitest.conformance.discover import start_addresses, warnings
from cnitest.conformance.discover.preflight import Caller, StartFailure
from cnitest.conformance.model import protocol
from cnitest.kernel import features
from cnitest.kernel.processes import programs
from cnitest.plugins import files
from cnitest.plugins.values import BadValue
from cnitest.topology.words.address import mac_fault
from cnitest.typos import did_you_mean

StartCause = Callable[[StartFailure], Iterator[str]]
CAUSES: list[StartCause] = []
_NO_LINK = re.compile(
    r"[\"'(]([^\"'\s/()]{1,15})[\"')](?::| exists, error:) (?:Link not found|no such device|no such network interface)"
)
# The same as ip(8) words it.
_NO_LINK_OF_IP = re.compile(
    r"Cannot find device \"([^\"\s/]{1,15})\"|Device \"([^\"\s/]{1,15})\" does not exist"
    r"|argument \"([^\"\s/]{1,15})\" is wrong: Device does not exist"
)
_ANOTHER_KIND = re.compile(r"\"?([^\"\s/]{1,15})\"? (?:already )?exists,? but is not an? (\w+)")
_OF_ONE_BOOT = ("/run/", "/var/run/")
LINK_KEYS = ("master", "device", "parent", "uplink", "physInterface")
_MAKERS = {plugin.name for plugin in files.every() if plugin.family == "interface"}


def cause(function: StartCause) -> StartCause:
    """Adds a cause to those that are asked."""
    CAUSES.append(function)
    return function


@cause
def version_not_spoken(failure: StartFailure) -> Iterator[str]:
    """The plugin, or the IPAM plugin that it calls, does not speak the configuration's version."""
    rejected = failure.error.get("code") == 1 or "incompatible CNI versions" in failure.text
    if not rejected or "CNI_COMMAND" in failure.text:
        return
    spoken, delegate = ", ".join(failure.subject.versions), failure.ipam.get("type")
    lacks = f"{failure.plugin} does not speak version {failure.version}"
    if delegate and failure.version in failure.subject.versions:
        called = f"{delegate}, which {failure.plugin} calls for addresses,"
        yield f"{called} does not speak version {failure.version}: write one that both speak as cniVersion"
        return
    if delegate and failure.caller is not Caller.PROFILE:  # its versions are those that the error names
        lacks = f"{failure.plugin}, or {delegate} that it calls for addresses, does not speak version {failure.version}"
    if failure.caller is not Caller.PROFILE:
        yield f"{lacks}{f'; it speaks {spoken}' if spoken else ''}: write one that it speaks as cniVersion"
    else:
        advice = f"write one of these as cniVersion, or try it with --cni-version {failure.subject.highest}"
        yield f"{lacks}; the whole list speaks {spoken}: {advice}"


@cause
def value_not_accepted(failure: StartFailure) -> Iterator[str]:
    """A value that the plugin's error is about, or that its reader of JSON cannot take."""
    yield from (str(fault) for fault in values_of(failure) if _is_about(failure, fault))


@cause
def keys_exclude_each_other(failure: StartFailure) -> Iterator[str]:
    """Two keys that a plugin does not take together, of which its error names one."""
    said = re.sub(r"[^a-z0-9]", "", failure.text.lower())
    keys = failure.subject.known(failure.plugin).all_keys
    for name, key in keys.items():
        for other in key.not_with:
            if name < other and failure.conf.get(name) and failure.conf.get(other) and _named(said, name, other):
                yield f"{name} and {other} are both given, and {failure.plugin} takes one of them: drop the other"


def _named(said: str, *keys: str) -> bool:
    return any(key.lower() in said for key in keys)


@cause
def wrong_mac(failure: StartFailure) -> Iterator[str]:
    """A MAC that CNI_ARGS or the configuration's ``args`` asks for, and that no link can have."""
    for where, mac in _macs(failure):
        if isinstance(mac, str) and mac and (why := mac_fault(mac)):
            yield f"{where} is wrong: {why}"


def _macs(failure: StartFailure) -> Iterator[tuple[str, Any]]:
    """The MACs that are asked for by other ways than a key of the plugin's own, with where each stands."""
    args = failure.conf.get("args")
    yield "MAC in CNI_ARGS", failure.subject.setting.args.get("MAC")
    cni = args.get("cni") if isinstance(args, Mapping) else None
    yield "args.cni.mac", cni.get("mac") if isinstance(cni, Mapping) else None


@cause
def link_of_another_kind(failure: StartFailure) -> Iterator[str]:
    """A link that the plugin would make is there, and is of another kind."""
    for name, kind in dict.fromkeys(_ANOTHER_KIND.findall(failure.text)):
        if found := (failure.links.get(name) or failure.inside.get(name, "")).partition(",")[0]:
            key = next((key for key, value in failure.conf.items() if value == name), "a link of the configuration")
            yield f"{key} is {name!r}, and there is a {found} of that name, no {kind}: choose a name that no link has"


@cause
def link_is_not_there(failure: StartFailure) -> Iterator[str]:
    """A link that the configuration, or the plugin's error, names is not on the host, or not in the container."""
    inside = bool(failure.conf.get("linkInContainer") or failure.conf.get("linksInContainer"))
    there, where = (failure.inside, "the container") if inside else (failure.links, "the host")
    for what, name in _link_names(failure):
        if there and name not in there:
            others = [link for link in there if link != "lo"]
            these = "one of these" if others else "another"
            making = failure.advice(
                f"with {'container' if inside else 'host'}_setup in a profile",
                "before ADD",
                "with setup in a topology of yours",
            )
            advice = did_you_mean(name, others, clause=True) or (f"; did you mean {others[0]!r}?" if others else ".")
            yield (
                f"{what} is {name!r}, and {where} has no such link; there are {', '.join(others) or 'none but lo'}"
                f"{advice} Name {these}, make it {making}, or choose a topology that has it"
            )


def _link_names(failure: StartFailure) -> Iterator[tuple[str, str]]:
    """The links that are asked for: those of keys that name one, and those that the error says are not there."""
    keys = {key: name for key in LINK_KEYS if isinstance(name := failure.conf.get(key), str) and name}
    yield from keys.items()
    for name in dict.fromkeys(_NO_LINK.findall(failure.text)):
        if name not in keys.values() and f'"{name}"' in json.dumps(failure.conf):
            yield "a link of the configuration", name
    for name in dict.fromkeys("".join(found) for found in _NO_LINK_OF_IP.findall(failure.text)):
        if name not in (*keys.values(), failure.subject.setting.ifname) and name not in failure.inside:
            yield "a link that the plugin asks ip(8) for", name


@cause
def wrong_addresses(failure: StartFailure) -> Iterator[str]:
    """Prefixes, ranges and gateways of the configuration that cannot be."""
    yield from start_addresses.faults(failure.conf)


@cause
def asked_for_what_is_in_no_range(failure: StartFailure) -> Iterator[str]:
    """An address that the runtime asks for, and that the IPAM plugin has no range for."""
    if found := re.search(r"failed to allocate all requested IPs: ([\d.a-fA-F:, ]+)", failure.text):
        yield f"{found[1].strip(', ')} is asked for, and no range of ipam has it: ask for another, or add its subnet"


@cause
def no_addresses_left(failure: StartFailure) -> Iterator[str]:
    """A range without an address to give."""
    said = re.search(r"no IP addresses available|no available|exhausted|too small to allocate", failure.text, re.I)
    if said and not [*start_addresses.faults(failure.conf)]:
        yield (
            "its range has no address to give: the network's own, the gateway's and the broadcast address do not "
            "count; widen ipam.subnet or the range"
        )


@cause
def ipam_is_not_there(failure: StartFailure) -> Iterator[str]:
    """The IPAM plugin, or another delegate, is not in the search path."""
    found = re.search(r'failed to find plugin "([^"]*)"|invalid plugin name: (\S+)', failure.text)
    if found:
        name, path = found[1], found[2] or ""
        advice = did_you_mean(name or os.path.basename(path), failure.plugins, clause=True)
        said = (
            f"{path!r}, which is a path and no plugin's name" if path else f"{name!r}, which is not in the search path"
        )
        yield f"{failure.plugin} calls the plugin {said}{advice or '; name its directory with --cni-path'}"


@cause
def no_ipam(failure: StartFailure) -> Iterator[str]:
    """A plugin that needs addresses has no IPAM section, and none of the plugins before it has one."""
    before = failure.subject.before[: failure.members.index(failure.plugin)]
    if before and re.search(r"\bno IPs?\b|missing IP|without (?:an )?IP", failure.text, re.I):
        if not any(isinstance(conf.get("ipam"), Mapping) and conf["ipam"].get("type") for conf in before):
            maker = before[0]["type"]
            yield f"{failure.plugin} wants addresses, and {maker} gives the container none: it has no ipam.type"
        return
    is_no_object = not failure.ipam and failure.conf.get("ipam")
    unnamed = "type" not in failure.ipam and not is_no_object  # `value_faults` has the other
    if unnamed and re.search(r"no plugin name|missing IP config|ipam", failure.text, re.I):
        yield f"{failure.plugin} wants addresses, and its configuration has no ipam.type, such as host-local"


@cause
def no_previous_result(failure: StartFailure) -> Iterator[str]:
    """A chained plugin stands alone or first."""
    if (
        re.search(r"chained|prevResult(?!:(?:map\[|<nil>))", failure.text, re.I)
        and failure.members.index(failure.plugin) == 0
    ):
        yield (
            f"{failure.plugin} works on an interface that a plugin before it made, and none is before it: "
            "put one that makes interfaces first in a .conflist"
        )


@cause
def interface_made_twice(failure: StartFailure) -> Iterator[str]:
    """Two plugins of a list make the container's interface."""
    before = failure.members[: failure.members.index(failure.plugin)] or failure.members[:-1]
    there = failure.subject.setting.ifname in failure.inside and failure.conf.get("type") in _MAKERS
    if before and there and re.search(r"already exists|file exists", failure.text):
        yield f"{before[0]} made the container's interface before: one plugin of a list does, the others go on there"


@cause
def no_capability_arguments(failure: StartFailure) -> Iterator[str]:
    """Declared capabilities for which a profile gives no arguments."""
    given = failure.subject.setting.capabilities
    declared, written = failure.conf.get("capabilities"), failure.conf.get("runtimeConfig")
    there = {*given, *(written if isinstance(written, dict) else ())}
    lacking = [name for name, on in declared.items() if on and name not in there] if isinstance(declared, dict) else []
    example = {"ips": '{ips: ["10.22.0.9/24"]}', "ipRanges": "{ipRanges: [[{subnet: 10.22.0.0/24}]]}"}
    if lacking and re.search(r"\bIPs?\b|address|range|runtimeConfig", failure.text):
        shown = example.get(lacking[0], f"{{{lacking[0]}: …}}")
        say = f"say it in a cnitest.yaml beside the configuration: 'capabilities: {shown}'"
        advice = failure.advice(
            say,
            f"call cni.add with capabilities={{{lacking[0]!r}: …}}",
            f"write it into the plugin's own configuration, as 'runtimeConfig: {shown}'",
        )
        which = f"capabilit{'y' if len(lacking) == 1 else 'ies'} {', '.join(lacking)}"
        yield f"it declares the {which}, and no argument is given: {advice}"


@cause
def daemon_is_not_there(failure: StartFailure) -> Iterator[str]:
    """The socket of a daemon that nobody started."""
    found = re.search(r"dial unix (\S+?):", failure.text) or re.search(r"(/run/\S+\.sock)\b", failure.text)
    if found and "dbus" in found[1]:
        yield "the host has no D-Bus, and so no firewalld: choose another backend, or start both with host_setup"
    elif found:
        socket = found[1] if found[1][0] in "/@" else f"/{found[1]}"  # runtimes call plugins from /
        advice = failure.advice(
            "let a cnitest.yaml beside the configuration start it: "
            f"'daemon: {{command: [\"{{plugin}}\", daemon], socket: {socket}}}'",
            f"start it before ADD: host.start([PLUGIN, 'daemon'], ready={socket!r})",
            "no command starts one; a test does, with host.start before cni.add",
        )
        yield f"its daemon does not answer at {socket}: {advice}"


@cause
def program_is_not_there(failure: StartFailure) -> Iterator[str]:
    """A program that the plugin starts is not installed."""
    for name in protocol.lacking_programs(failure.text):
        get = programs.how_to_get(name)
        yield f"{failure.plugin} starts {name!r}, which is not on this machine: {get}, or choose another backend"


@cause
def kernel_lacks_it(failure: StartFailure) -> Iterator[str]:
    """A kind of link, or table, that this kernel does not have."""
    matched = re.search(
        r"operation not supported|not supported|unknown device type|protocol not available|[Mm]odule \S+ not found"
        r"|Table does not exist|can't initialize ip6?tables",
        failure.text,
    )
    if not matched:
        return
    lacking = features.kernel(failure.plugin).why if failure.plugin in features.names() else ""
    if failure.conf.get("vlan") or failure.conf.get("vlanTrunk"):
        lacking = lacking or features.kernel("vlan_filtering").why
    what = f"what {failure.plugin} asks for ({lacking or matched[0]})"
    yield f"this kernel does not have {what}: `cnitest doctor` lists it"


@cause
def network_s_name_is_too_long(failure: StartFailure) -> Iterator[str]:
    """Plugins make files of a network's name, which cannot be that long; an error that repeats it is cut before."""
    if _name_is_too_long(failure):
        yield (
            f"the network's 'name' has {len(failure.subject.network)} letters, and plugins make files of it, whose "
            f"names have {LONGEST_FILE_NAME} at most: shorten it"
        )


def _name_is_too_long(failure: StartFailure) -> bool:
    return len(failure.subject.network.encode()) > LONGEST_FILE_NAME


@cause
def file_is_not_there(failure: StartFailure) -> Iterator[str]:
    """A file that something else on a host would have written."""
    for path, why in failure.named_files:
        if why == "file name too long":
            if not _name_is_too_long(failure):
                yield f"a name in this path has more than {LONGEST_FILE_NAME} letters: shorten it in the configuration"
        elif why == "not a directory":
            yield f"{path}: {why}: a file stands where a directory has to be"
        elif path.startswith("/sys/"):
            yield f"{path}: {why}: this machine has no such device; a network of a lab has links, and no hardware"
        elif not path.endswith(".sock") and not path.startswith("/proc/"):
            gone = "what is below /run is gone after a boot: a plugin makes its own directories; "
            yield f"{path}: {why}: {gone if path.startswith(_OF_ONE_BOOT) else ''}" + failure.advice(
                "what a host has there a cnitest.yaml puts there, with 'mounts: {DIRECTORY: ./mine}' or host_setup",
                "write what a host has there before ADD, with host.run",
                "write what a host has there with setup in a topology of your own",
            )


@cause
def may_not(failure: StartFailure) -> Iterator[str]:
    """Something that we or the plugin may not do."""
    if re.search(r"operation not permitted|permission denied", failure.text, re.I):
        yield "the plugin may not do what it tries: run as root, or under `unshare -Urnm` what works without"


def values_of(failure: StartFailure) -> list[BadValue]:
    """The values of the failed plugin's configuration that are not accepted."""
    return list(warnings.value_faults(failure.conf, failure.subject.path, failure.subject.setting.knowledge))


def _is_about(failure: StartFailure, fault: BadValue) -> bool:
    """Whether the error repeats the key, or the value, of a fault."""
    said = failure.text.lower()
    return fault.key.lower() in said or bool(fault.value and fault.value.lower() in said)
