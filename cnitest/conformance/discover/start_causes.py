"""Why a network's first ADD failed, where that can be read off the call, the configuration and the host.

A cause is a function with ``@cause``: it gets what is known of the failure and yields sentences, each with what to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from cnitest.cni import spec
from cnitest.conformance.discover import start_addresses, warnings
from cnitest.conformance.discover.preflight import Refused
from cnitest.kernel import features
from cnitest.plugins import files
from cnitest.plugins.values import Fault
from cnitest.text import quoted
from cnitest.typos import did_you_mean

Cause = Callable[[Refused], Iterator[str]]
CAUSES: list[Cause] = []
_LINK_KEYS = ("master", "device", "parent", "uplink", "physInterface")
_LONGEST_NAME, _LONGEST_FILE_NAME = 15, 255
_MOST_TRIED = 100
_FILE = re.compile(r"\b(?:open|stat|lstat|read|mkdir|unlink) (/[^\s:\"']+): ([\w ]+)")
_PROGRAM = re.compile(r'exec: "([^"]+)": executable file not found')
_FIELD = re.compile(
    r"cannot unmarshal (\w+(?: [\d.e+-]+)?) into Go (?:struct field|value) (?:\S*\.)?(\w+) of type (\S+)"
)

_GO_TYPES = (
    (r"bool", "true or false, without quotes"),
    (r"u?int\d*", "a whole number, without quotes, that fits in it"),
    (r"float\d+", "a number, without quotes"),
    (r"string", "text between double quotes"),
    (r"\[\].*", "a list, [ … ]"),
    (r"map\[.*", "an object, { … }"),
)
_MAKERS = {plugin.name for plugin in files.every() if plugin.family == "interface"}


def cause(function: Cause) -> Cause:
    """Adds a cause to those that are asked."""
    CAUSES.append(function)
    return function


def causes(failure: Refused) -> list[str]:
    """The likely causes of a failure, the likeliest first; empty where none is known."""
    return list(dict.fromkeys(words for function in CAUSES for words in function(failure)))


@cause
def version_not_spoken(failure: Refused) -> Iterator[str]:
    """The plugin does not speak the configuration's version."""
    refused = failure.error.get("code") == 1 or "incompatible CNI versions" in failure.text
    if refused and "CNI_COMMAND" not in failure.text:
        spoken = ", ".join(failure.subject.versions)
        yield (
            f"{failure.plugin} does not speak version {failure.version}; the whole list speaks {spoken}: "
            f"write one of these as cniVersion, or try it with --cni-version {failure.subject.highest}"
        )


@cause
def value_not_accepted(failure: Refused) -> Iterator[str]:
    """A value that the plugin's error is about, or that its reader of JSON cannot take."""
    yield from (str(fault) for fault in _values(failure) if _is_about(failure, fault))


@cause
def default_route_twice(failure: Refused) -> Iterator[str]:
    """isDefaultGateway makes a default route, and the IPAM section names one as well."""
    routes = failure.ipam.get("routes") or ()
    given = [str(route.get("dst")) for route in routes if isinstance(route, Mapping)]
    both = [dst for dst in given if dst in ("0.0.0.0/0", "::/0", "default")]
    if failure.conf.get("isDefaultGateway") and both and "file exists" in failure.text:
        yield (
            f"isDefaultGateway adds a default route, and ipam.routes has one, too ({', '.join(both)}): "
            "the kernel refuses the second; drop one of them"
        )


@cause
def route_twice(failure: Refused) -> Iterator[str]:
    """The same route is asked for twice."""
    routes = failure.ipam.get("routes") or ()
    given = [str(route.get("dst")) for route in routes if isinstance(route, Mapping)]
    twice = sorted({dst for dst in given if given.count(dst) > 1})
    if twice and "file exists" in failure.text:
        yield f"ipam.routes has {', '.join(twice)} more than once: the kernel refuses the second; drop one"


@cause
def link_is_not_there(failure: Refused) -> Iterator[str]:
    """A link that the configuration names is not on the host, or not in the container."""
    inside = bool(failure.conf.get("linkInContainer"))
    there, where = (failure.inside, "the container") if inside else (failure.links, "the host")
    for key in _LINK_KEYS:
        name = failure.conf.get(key)
        if isinstance(name, str) and name and there and name not in there:
            others = [link for link in there if link != "lo"]
            advice = did_you_mean(name, others, clause=True) or (f"; did you mean {others[0]!r}?" if others else "")
            yield (
                f"{key} is {name!r}, and {where} has no such link; there are {', '.join(others) or 'none but lo'}"
                f"{advice} Name one of these, make it with host_setup in a profile, or choose a topology that has it"
            )


@cause
def wrong_addresses(failure: Refused) -> Iterator[str]:
    """Prefixes, ranges and gateways of the configuration that cannot be."""
    yield from start_addresses.faults(failure.conf)


@cause
def no_addresses_left(failure: Refused) -> Iterator[str]:
    """A range without an address to give."""
    if re.search(r"no IP addresses available|no available|exhausted|too small to allocate", failure.text, re.I):
        yield (
            "its range has no address to give: the network's own, the gateway's and the broadcast address do not "
            "count; widen ipam.subnet or the range"
        )


@cause
def ipam_is_not_there(failure: Refused) -> Iterator[str]:
    """The IPAM plugin, or another delegate, is not in the search path."""
    found = re.search(r'failed to find plugin "([^"]*)"', failure.text)
    if found:
        advice = did_you_mean(found[1], failure.plugins, clause=True) or "; name its directory with --cni-path"
        yield f"{failure.plugin} calls the plugin {found[1]!r}, which is not in the search path{advice}"


@cause
def no_ipam(failure: Refused) -> Iterator[str]:
    """A plugin that needs IPAM got none."""
    if "type" not in failure.ipam and re.search(r"no plugin name|missing IP config|ipam", failure.text, re.I):
        yield f"{failure.plugin} wants addresses, and its configuration has no ipam.type, such as host-local"


@cause
def no_previous_result(failure: Refused) -> Iterator[str]:
    """A chained plugin stands alone or first."""
    if re.search(r"chained|prevResult", failure.text, re.I) and failure.members.index(failure.plugin) == 0:
        yield (
            f"{failure.plugin} works on an interface that a plugin before it made, and none is before it: "
            "put one that makes interfaces first in a .conflist"
        )


@cause
def interface_made_twice(failure: Refused) -> Iterator[str]:
    """Two plugins of a list make the container's interface."""
    before = failure.members[: failure.members.index(failure.plugin)] or failure.members[:-1]
    there = failure.subject.setting.ifname in failure.inside and failure.conf.get("type") in _MAKERS
    if before and there and re.search(r"already exists|file exists", failure.text):
        yield f"{before[0]} made the container's interface before: one plugin of a list does, the others go on there"


@cause
def no_capability_arguments(failure: Refused) -> Iterator[str]:
    """Declared capabilities for which a profile gives no arguments."""
    given = failure.subject.setting.capabilities
    declared = failure.conf.get("capabilities")
    lacking = [name for name, on in declared.items() if on and name not in given] if isinstance(declared, dict) else []
    example = {"ips": '{ips: ["10.22.0.9/24"]}', "ipRanges": "{ipRanges: [[{subnet: 10.22.0.0/24}]]}"}
    if lacking and re.search(r"\bIPs?\b|address|range|runtimeConfig", failure.text):
        shown = example.get(lacking[0], f"{{{lacking[0]}: …}}")
        yield (
            f"it declares the capabilit{'y' if len(lacking) == 1 else 'ies'} {', '.join(lacking)}, and no argument is "
            f"given: say it in a cnitest.yaml beside the configuration: 'capabilities: {shown}'"
        )


@cause
def daemon_is_not_there(failure: Refused) -> Iterator[str]:
    """The socket of a daemon that nobody started."""
    found = re.search(r"dial unix (\S+?):", failure.text) or re.search(r"(/run/\S+\.sock)\b", failure.text)
    if found and "dbus" in found[1]:
        yield "the host has no D-Bus, and so no firewalld: choose another backend, or start both with host_setup"
    elif found:
        yield (
            f"its daemon does not answer at {found[1]}: let a cnitest.yaml beside the configuration start it: "
            f"'daemon: {{command: [\"{{plugin}}\", daemon], socket: {found[1]}}}'"
        )


@cause
def program_is_not_there(failure: Refused) -> Iterator[str]:
    """A program that the plugin starts is not installed."""
    for name in dict.fromkeys(_PROGRAM.findall(failure.text)):
        yield f"{failure.plugin} starts {name!r}, which is not on this machine: install it, or choose another backend"


@cause
def kernel_lacks_it(failure: Refused) -> Iterator[str]:
    """A kind of link, or table, that this kernel does not have."""
    told = re.search(
        r"operation not supported|not supported|unknown device type|protocol not available|[Mm]odule \S+ not found"
        r"|Table does not exist|can't initialize ip6?tables",
        failure.text,
    )
    if not told:
        return
    lacking = features.kernel(failure.plugin).why if failure.plugin in features.names() else ""
    if failure.conf.get("vlan") or failure.conf.get("vlanTrunk"):
        lacking = lacking or features.kernel("vlan_filtering").why
    yield f"this kernel does not have what {failure.plugin} asks for ({lacking or told[0]}): `cnitest doctor` lists it"


@cause
def file_is_not_there(failure: Refused) -> Iterator[str]:
    """A file that something else on a host would have written."""
    for path, why in dict.fromkeys(_FILE.findall(failure.text)):
        if why == "file name too long":
            yield f"a name in this path has more than {_LONGEST_FILE_NAME} letters: shorten it in the configuration"
        elif not path.endswith(".sock") and not path.startswith("/proc/"):
            yield (
                f"{path}: {why}: what a host has there a cnitest.yaml puts there, with 'mounts: {{DIRECTORY: ./mine}}' "
                "or host_setup"
            )


@cause
def sysctl_is_not_there(failure: Refused) -> Iterator[str]:
    """A sysctl that the kernel does not have."""
    for path, why in dict.fromkeys(_FILE.findall(failure.text)):
        if path.startswith("/proc/sys/"):
            name = path.removeprefix("/proc/sys/").replace("/", ".")
            yield f"sysctl {name}: {why}: `sysctl -a` lists those that there are"


@cause
def may_not(failure: Refused) -> Iterator[str]:
    """Something that we or the plugin may not do."""
    if re.search(r"operation not permitted|permission denied", failure.text, re.I):
        yield "the plugin may not do what it tries: run as root, or under `unshare -Urnm` what works without"


@cause
def other_value_not_accepted(failure: Refused) -> Iterator[str]:
    """A value that is not accepted, whatever the error is about."""
    yield from map(str, _values(failure))


def _values(failure: Refused) -> list[Fault]:
    return list(warnings.value_faults(failure.conf, failure.subject.path, failure.subject.setting.knowledge))


def _is_about(failure: Refused, fault: Fault) -> bool:
    """Whether the error repeats the key, or the value, of a fault."""
    said = failure.text.lower()
    return fault.key.lower() in said or bool(fault.value and fault.value.lower() in said)


@cause
def wrong_type(failure: Refused) -> Iterator[str]:
    """A key with a value of another JSON type."""
    named = {word for fault in _values(failure) for word in re.split(r"[.\[\]]+", fault.path.lower())}
    for given, field, wanted in dict.fromkeys(_FIELD.findall(failure.text)):
        if field.lower() not in named:
            was = f"a {given}" if given.isalpha() else f"the {given}"
            yield f"the key {field!r} is {was} in the configuration, and {failure.plugin} reads {_in_words(wanted)}"


def _in_words(kind: str) -> str:
    """A type of Go, as JSON has it."""
    for pattern, words in _GO_TYPES:
        if re.fullmatch(pattern, kind):
            return words
    return kind


@cause
def name_is_too_long(failure: Refused) -> Iterator[str]:
    """A link's name of more than fifteen letters."""
    named = [fault.key for fault in _values(failure)]
    for key in ("bridge", "vrfname", *_LINK_KEYS):
        name = failure.conf.get(key)
        if isinstance(name, str) and len(name) > _LONGEST_NAME and key not in named:
            yield f"{key} is {name!r}: {len(name)} letters; a link's name has at most {_LONGEST_NAME}"


@cause
def mtu_is_wrong(failure: Refused) -> Iterator[str]:
    """An MTU that the kind of link, or the link below, does not take."""
    mtu = failure.conf.get("mtu")
    named = [fault.key for fault in _values(failure)]
    if (
        isinstance(mtu, int)
        and "mtu" not in named
        and re.search(r"mtu|invalid argument|numerical result", failure.text, re.I)
    ):
        yield f"the MTU {mtu} may be more than the link below has, or than its kind allows (68 to 65535)"


@cause
def no_key(failure: Refused) -> Iterator[str]:
    """A key that the plugin wants and that is not there."""
    found = re.search(r'"?(\w+)"? (?:field is required|is required|is missing|must be (?:set|specified))', failure.text)
    if found and found[1] not in failure.conf:
        yield f"{failure.plugin} wants the key {found[1]!r}"


@cause
def ended_badly(failure: Refused) -> Iterator[str]:
    """A plugin that hung, crashed, or ended well without a result."""
    call = failure.call
    if call is None:
        yield "a command of the profile failed before any plugin was called: see host_setup, container_setup, daemon"
    elif call.timed_out:
        yield f"it did not end within {call.seconds:.0f} s and was killed: what does it wait for?"
    elif call.exit_code < 0:
        yield f"it died of signal {-call.exit_code}: a fault of the plugin's own"
    elif b"panic:" in call.stderr or b"goroutine " in call.stderr or b"Traceback (most" in call.stderr:
        yield "it crashed, see its stack trace: a fault of the plugin's own"
    elif call.exit_code == 0 and (before := _before_document(call.stdout)):
        yield (
            f"stdout has {quoted(before)} before the result: only the result may be there (SPEC section 5, Success); "
            "what is for people belongs on stderr"
        )
    elif call.exit_code == 0:
        yield "it ended with exit code 0, but stdout is not one result document (SPEC section 5, Success)"
    elif not failure.error:
        yield "it failed without an error document on stdout (SPEC section 5, Error): what it printed is all there is"


def _before_document(stdout: bytes) -> str:
    """The text in front of the last JSON object of a plugin's stdout; empty where there is none, or nothing before."""
    text = stdout.decode(errors="replace").strip()
    for start in (found.start() for found in islice(re.finditer(r"\{", text), _MOST_TRIED)):
        try:
            document = json.loads(text[start:])
        except (ValueError, RecursionError):
            continue
        return text[:start].strip() if isinstance(document, dict) else ""
    return ""


@cause
def own_code(failure: Refused) -> Iterator[str]:
    """What the error's code means, where nothing better is known."""
    code = failure.error.get("code")
    if isinstance(code, int) and code in spec.ERRORS and code not in (1, 100, 999):
        yield f"code {code} means: {spec.ERRORS[code]}"
