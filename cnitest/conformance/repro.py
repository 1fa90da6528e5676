"""A shell script that does again what was done on a bench, with nothing but unshare(1), ip(8) and the plugin."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

from cnitest.cni.invoke import Call
from cnitest.conformance.requirement import Requirement
from cnitest.conformance.steps import Command, Look, Step
from cnitest.conformance.subject import Subject
from cnitest.topology.plan import AddAddress, AddLink, AddRoute, Plan, SetLink, Sysctl
from cnitest.topology.plan import Step as PlanStep

_PRELUDE = """\
#!/usr/bin/env bash
{about}
#
# Run as root. Everything happens in namespaces that go with this script. It ends with 1 when it sees what the report
# says, and with 0 when it does not.
[ "${{INSIDE:-}}" ] || exec env INSIDE=1 unshare --net --mount --pid --fork --mount-proc --propagation private -- bash "$0" "$@"
mount -t tmpfs tmpfs /run && mkdir -p /run/netns /run/lock /run/cni
mount -t sysfs sysfs /sys
for directory in /var/lib/cni /etc/cni; do mkdir -p $directory && mount -t tmpfs tmpfs $directory; done
mkdir -p /etc/cni/net.d
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
code=0 different=0

# Calls a plugin: the exit code that was seen, then what was seen on its standard output in one line, then the command.
call() {{
  local wanted=$1 seen=$2; shift 2
  timeout --kill-after=1 {timeout} "$@" <"$work/stdin" >"$work/stdout" 2>"$work/stderr"; code=$?
  [ $code -ge 124 ] && code=killed
  echo "    exit code $code: $(tr -s ' \\n\\t' ' ' <"$work/stdout" | head -c 2000)"
  head -c 2000 "$work/stderr" | sed 's/^/    stderr: /'
  [ "$wanted" = "$code" ] && [ "$(plain <"$work/stdout")" = "$(plain <<<"$seen")" ] || different=1
}}

# What does not change from run to run.
plain() {{ tr -d ' \\n\\t' | sed -E 's/([0-9a-f]{{2}}:){{5}}[0-9a-f]{{2}}/MAC/g; s/veth[0-9a-f]{{8}}/VETH/g; s/[0-9a-f]{{20,}}/ID/g'; }}

# What the host and some containers hold, into a file.
look() {{
  local file=$work/$1; shift
  {{
    for where in "" "$@"; do
      [ -z "$where" ] || [ -e "/run/netns/$where" ] || continue
      for what in link address route -6\\ route rule; do
        echo "== ${{where:-host}}: ip $what"
        ip ${{where:+-n "$where"}} -o $what 2>/dev/null | sed -E 's/^[0-9]+: //; s/ (qlen|index) [0-9]+//; s/valid_lft.*//; s/ tentative//; s/state [A-Z]+//; s/@if[0-9]+//'
      done
    done
    for save in iptables-save ip6tables-save iptables-legacy-save; do echo "== $save"; $save 2>/dev/null | grep '^-A'; done
    echo "== files"; find /run /var/lib/cni -type f ! -name lock ! -name 'last_reserved_ip.*' ! -name xtables.lock 2>/dev/null | sort
  }} >"$file"
}}
"""
_TIMEOUT = 10
_MAC_OR_NAME = re.compile(r"%")


def script(
    requirement: Requirement, subject: Subject, plan: Plan, host: str, steps: Sequence[Step], **told: Sequence[str]
) -> str:
    """The script. ``told`` are ``details`` (what the report says) and ``witnesses`` (conditions in shell that hold
    while it is so); without a witness it is decided by what the plugin answers, and by what is left at the end."""
    about = [f"{requirement.id} ({requirement.level.value}, SPEC section {requirement.section}), {subject.name}:"]
    about += [requirement.says, "", *told["details"][:8]]
    head = _PRELUDE.format(about="\n".join(f"# {line}".rstrip() for line in about), timeout=_TIMEOUT)
    body = [*_topology(plan, host), "", *_steps(steps, plan)]
    return "\n".join([head, *body, *_ending(steps, told["witnesses"]), ""])


def _topology(plan: Plan, host: str) -> Iterator[str]:
    places = [place for place in plan.places if place != host and "/" not in place]
    yield "# The machines around the host."
    yield from (f"ip netns add m-{place}" for place in places)
    for step in plan.steps:
        yield from _built(step, host)


def _at(place: str, host: str) -> str:
    return "" if place == host else f" -n m-{place}"


def _built(step: PlanStep, host: str) -> Iterator[str]:
    match step:
        case AddLink(peer=None):
            yield f"ip{_at(step.place, host)} link add {step.link.name} type {step.kind}"
        case AddLink() if step.peer:
            theirs = "" if step.peer.place == host else f" netns m-{step.peer.place}"
            if theirs == "" and step.place != host:
                theirs = " netns $$"
            mac = f" address {step.mac}" if step.mac else ""
            yield f"ip{_at(step.place, host)} link add {step.link.name}{mac} type veth peer name {step.peer.name}{theirs}"
            if step.master:
                yield f"ip{_at(step.place, host)} link set {step.link.name} master br0"
        case SetLink():
            yield f"ip{_at(step.place, host)} link set {step.link.name} {'up' if step.up else 'down'}"
        case AddAddress():
            nodad = " nodad" if ":" in step.address else ""
            yield f"ip{_at(step.place, host)} address add {step.address} dev {step.link.name}{nodad}"
        case AddRoute():
            yield f"ip{_at(step.place, host)} route add {str(step).split('route add ')[1]}"
        case Sysctl():
            run = "" if step.place == host else f"ip netns exec m-{step.place} "
            yield f"{run}sysctl -qw {step.name}={shlex.quote(step.value)}"
        case _:
            return


def _steps(steps: Sequence[Step], plan: Plan) -> Iterator[str]:
    made: set[str] = {place.split("/")[1] for place in plan.places if "/" in place}
    yield from (f"ip netns add {name}" for name in sorted(made))
    for number, step in enumerate(steps, 1):
        for container in _containers(step):
            if container not in made:
                made.add(container)
                yield f"ip netns add {container}"
        yield from _step(step, number)


def _containers(step: Step) -> Iterator[str]:
    if isinstance(step, Look):
        yield from step.containers
    elif isinstance(step, Command):
        if step.place != "node":
            yield step.place
        yield from (match[1] for word in step.argv if (match := re.match(r"/(?:var/)?run/netns/([\w.-]+)$", word)))
    else:
        netns = re.match(r"/(?:var/)?run/netns/(c\d+)$", step.environment.get("CNI_NETNS", ""))
        if netns:
            yield netns[1]


def _step(step: Step, number: int) -> Iterator[str]:
    if isinstance(step, Look):
        yield f"look {step.name} {' '.join(step.containers)}".rstrip()
    elif isinstance(step, Command):
        inside = "" if step.place == "node" else f"ip netns exec {step.place} "
        yield f"{inside}{shlex.join(step.argv)}"
    else:
        yield from _call(step, number)


def _call(call: Call, number: int) -> Iterator[str]:
    yield f"\necho {shlex.quote(f'{number}. {call.subject}')}"
    data = call.stdin.encode("utf-8", "surrogateescape")
    if _is_text(data) and len(data) < 8192:
        yield f"cat >\"$work/stdin\" <<'JSON'\n{_pretty(call.stdin)}\nJSON"
    else:
        yield f'printf {shlex.quote("".join(f"%c{b:03o}" % chr(92) for b in data[:4096]))} >"$work/stdin"'
    variables = " ".join(shlex.quote(f"{key}={value}") for key, value in call.environment.items())
    code = "killed" if call.timed_out or call.exit_code < 0 else call.exit_code
    seen = " ".join(call.stdout[:4000].decode(errors="replace").split())
    yield f"call {code} {shlex.quote(seen)} env -i {variables} {shlex.join(call.argv)}"


def _is_text(data: bytes) -> bool:
    try:
        return data.decode().isprintable() or b"\n" in data
    except UnicodeDecodeError:
        return False


def _pretty(text: str) -> str:
    try:
        return (
            json.dumps(json.loads(text), indent=2) if len(text) > 100 and json.dumps(json.loads(text)) == text else text
        )
    except (ValueError, RecursionError):
        return text


def _ending(steps: Sequence[Step], witnesses: Sequence[str]) -> Iterator[str]:
    looks = [step for step in steps if isinstance(step, Look)]
    if witnesses:
        yield "\nseen=0"
        yield from (f"{witness} && seen=1" for witness in witnesses)
    elif len(looks) >= 2:
        yield f'\necho "What differs between before and after:"\ndiff "$work/{looks[-2].name}" "$work/{looks[-1].name}"; seen=$?'
        yield "[ $seen = 0 ] && [ $different = 0 ] && seen=1"
    else:
        yield "\nseen=$((1 - different))"
    yield '[ "$seen" != 0 ] && echo "Seen: it is as the report says." || echo "Not seen: it is not as the report says."'
    yield "exit $seen"


def name(identifier: str, subject: str, version: str, test: str) -> str:
    """A file name for a script."""
    return re.sub(r"[^\w.-]+", "_", f"{identifier}-{subject}-{version}-{test}") + ".sh"


def as_mapping(value: Mapping[str, str]) -> dict[str, str]:
    """A copy that JSON can carry."""
    return dict(value)
