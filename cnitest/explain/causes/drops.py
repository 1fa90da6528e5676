"""What a rule did to the packet, in words and commands: shared by the families of causes that are rules."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from cnitest.explain.causes import behind, matching
from cnitest.explain.causes.registry import Found
from cnitest.explain.evidence import rule_steps
from cnitest.explain.evidence.loss import Loss
from cnitest.explain.evidence.rows import MetRule
from cnitest.lab.probe import wire

#: The turn of causes that fit any rule: after those that know more of it.
GENERAL = 1
#: What ends a packet here: nobody but a program of the place, if at all, sends it on.
ENDING = ("drop", "reject", "queue", "nfqueue", "stolen")
_ROUTED = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
# Matches that iptables does not find again by their words.
_COUNTING = re.compile(r"-m (connlimit|hashlimit|quota|recent|frag)\b")
# What leaves a base chain before its end, for the policy.
_LEAVES = re.compile(r"-j RETURN\b|-g \S|\b(return|goto \S+|vmap @\S+)( |$)")
# What ends a packet in the chain itself, or counts and logs it only.
_LAST = re.compile(
    r"-j (ACCEPT|DROP|REJECT|LOG|NFLOG)\b|\b(accept|drop|reject|log|counter)\b(?!.*\b(jump|goto|vmap)\b)"
)
# What a shell reads otherwise than iptables-save writes it.
_ODD = re.compile(r"[\\$`]")
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|\S+')
_ESTABLISHED = re.compile(r"(ctstate|state) \S*ESTABLISHED\S* .*-j ACCEPT|ct state \S*established\S*.* accept")


def is_neighbour(step: MetRule) -> bool:
    """Whether what met the rule is ARP or neighbour discovery, and not the packet itself."""
    return rule_steps.is_neighbour(step.packet)


def dropped(loss: Loss) -> MetRule | None:
    """The rule or policy that ended the packet at the place where it was last seen, None where none was seen to."""
    asked = loss.is_question
    found = [step for step in ended(loss) if asked or not is_neighbour(step)]
    return next(_of_parts(loss), None) or (found[-1] if found else None)


def _of_parts(loss: Loss) -> Iterator[MetRule]:
    """The steps at places before that one that ended a later fragment, without which the others are of no use."""
    for step in loss.steps:
        if step.packet.offset and step.verdict in ENDING and step.returning == loss.returning:
            yield step


def ended(loss: Loss) -> tuple[MetRule, ...]:
    """The steps that ended a packet of the attempt at that place, those of neighbour discovery among them."""
    here = (step for step in loss.steps if step.place == loss.place.full_name and step.verdict in ENDING)
    return tuple(step for step in here if step.returning == loss.returning or (step.returning and not loss.answer))


def met_before(loss: Loss, last: MetRule) -> tuple[MetRule, ...]:
    """The steps of the same packet at the same place before the one that ended it; none of a packet about it."""
    same = [step for step in loss.steps if (step.place, step.returning) == (last.place, last.returning)]
    return tuple(same[: same.index(last)]) if last in same else ()


def passed(loss: Loss) -> tuple[str, ...]:
    """What rules were seen to let the packet pass where it was last seen: what did not end it."""
    here = (step.place == loss.place.full_name and step.returning == loss.returning for step in loss.steps)
    passing = [step for step, ours in zip(loss.steps, here, strict=True) if ours and step.verdict == "accept"]
    return tuple(dict.fromkeys(f"{where(step)} lets it pass: {step.rule or 'its policy'}" for step in passing))


def is_iptables(step: MetRule) -> bool:
    """Whether a step is in the words of the family of iptables."""
    return step.program != "nft"


def where(step: MetRule) -> str:
    """The table and the chains on the way to a rule: ``ip filter FORWARD → CNI-FORWARD``."""
    return f"{step.table} {' → '.join(step.path)}"


def short(step: MetRule) -> str:
    """What ended a packet, as a test compares it: ``ip filter FORWARD policy``, ``ip filter CNI-ADMIN rule 3``."""
    return f"{step.table} {step.chain} {f'rule {step.number}' if step.rule else 'policy'}"


def words(loss: Loss, step: MetRule) -> str:
    """The line for a person: where, the rule or policy as its program writes it, and what has to be known with it."""
    verdict = step.verdict.upper() if is_iptables(step) else step.verdict
    said = f"{where(step)}: {step.rule}" if step.rule else f"{where(step)} policy {verdict}"
    notes = [*_legacy(step), *_reply(loss, step), *_part(step), *bridged(loss, step)]
    return f"{said}   ({'; '.join(notes)})" if notes else said


def _legacy(step: MetRule) -> list[str]:
    return [step.program] if "legacy" in step.program else []


def _reply(loss: Loss, step: MetRule) -> list[str]:
    return ["of the reply"] if step.returning and not loss.returning else []


def _part(step: MetRule) -> list[str]:
    return ["of a later fragment"] if step.packet.offset else []


def bridged(loss: Loss, step: MetRule) -> list[str]:
    """That a rule of IP met a packet that is bridged, and what lets it."""
    here = loss.port if step.place == loss.place.full_name and not loss.spot.out else None
    bridge = loss.links().get(here.bridge) if here else None
    if bridge is None or loss.mac == bridge.mac or not _of_ip(step):
        return []
    name = "ip6tables" if step.packet.ethertype == wire.ETH_IPV6 else "iptables"
    if loss.sysctl(f"bridge.bridge-nf-call-{name}") == "1":
        return [f"bridged packet; net.bridge.bridge-nf-call-{name}=1"]
    return [f"bridged packet; nf_call_{name} of {bridge.name}"]


def _of_ip(step: MetRule) -> bool:
    """Whether a rule stands at one of IP's hooks."""
    return step.hook in _ROUTED and not step.table.startswith(("bridge ", "arp "))


def evidence(loss: Loss, step: MetRule) -> tuple[str, ...]:
    """What shows it: that the kernel reported this very packet, which need not have ended there, and what led to it."""
    links = " ".join(f"{way} {link}" for way, link in (("in", step.iif), ("out", step.oif)) if link)
    packet = f"{step.packet.source} → {step.packet.destination}"
    state = f"conntrack state {step.state}" if step.state else ""
    shown = step.shown if step.verdict in ENDING else "the kernel's trace of the packet has it"
    line = f"{shown}: {', '.join(filter(None, (packet, links, state)))}: {step.verdict}"
    jumps = (f"{where(one)}: {one.rule}" for one in met_before(loss, step) if one.rule and one.verdict == "jump")
    return (line, *jumps) if len(step.path) > 1 else (line,)


def found(loss: Loss, step: MetRule, *, also: tuple[str, ...] = (), remedy: str = "", note: str = "") -> Found:
    """What a rule or policy did, with its remedy unless another is known better."""
    said = words(loss, step)
    return Found(
        short(step),
        f"{said}   ({note})" if note else said,
        hook=step.hook,
        evidence=(*evidence(loss, step), *also),
        remedy=remedy or past(loss, step),
        place=step.place,
    )


def past(loss: Loss, step: MetRule) -> str:
    """The commands that let a packet past a rule or policy, and past what would end it next at the same hook."""
    first = past_rule(loss, step) if step.rule else past_policy(step)
    others = behind.steps(loss, step, own=bool(step.rule) and first == without(step))
    return _all_past(first, step, others)


def past_by(loss: Loss, step: MetRule, first: str) -> str:
    """The same, with the commands that are known to let the packet past that rule or policy itself."""
    others = behind.steps(loss, step, own=False)
    return _all_past(first, step, [one for one in others if (one.table, one.chain) != (step.table, step.chain)])


def _all_past(first: str, step: MetRule, others: Sequence[MetRule]) -> str:
    remedies = (first, *(without(one) if one.rule else past_policy(one) for one in others))
    commands = dict.fromkeys(one for remedy in remedies for one in remedy.split(" && "))
    return " && ".join(one for one in commands for _ in range(_copies(one, (step, *others))))


def _copies(removing: str, steps: Iterable[MetRule]) -> int:
    """How often a command has to be given that removes a rule: as often as its chain has it."""
    same = (sum(f"{command(step)} -D {_bare(rule)}" == removing for rule in step.rules) for step in steps)
    return max(1, *same)


def past_rule(loss: Loss, step: MetRule) -> str:
    """The command that removes a rule; where the policy would end the packet next, one that accepts in front of it."""
    jumps = {one.path: one for one in met_before(loss, step) if one.verdict == "jump" and one.table == step.table}
    callers = [jumps.get(step.path[:length]) for length in range(len(step.path) - 1, 0, -1)]
    left = [rule for one in (step, *callers) if one for rule in one.rules[one.number :]]
    if step.policy != "drop" or None in callers or any(_goes_on(rule, step) for rule in left):
        return without(step)
    if not _of_ip(step):
        return f"{without(step)} && {past_policy(step._replace(chain=step.path[0]))}"
    return " && ".join(_accepting(step, direction, link) for direction, link in _directions(step))


def _goes_on(rule: str, step: MetRule) -> bool:
    """Whether a rule may keep the packet of a step from the policy: it accepts it, or hands it to another chain."""
    ends = _LAST.search(rule)
    return ends is None or matching.accepts(rule, step)


def without(step: MetRule) -> str:
    """The command that removes a rule."""
    if is_iptables(step):
        number = f"{step.chain} {step.number}" if _COUNTING.search(step.rule) else ""
        rules = (number or _bare(step.rule), *map(_bare, _against_the_reply(step)))
        return " && ".join(f"{command(step)} -D {rule}" for rule in rules)
    return f"nft delete rule {step.table} {step.chain} handle {step.handle}"


def _bare(rule: str) -> str:
    return for_a_shell(rule.removeprefix("-A "))


def _against_the_reply(step: MetRule) -> Iterator[str]:
    """The rules of the same chain that would end the reply where the request is handed on: what keeps two networks
    apart has one for each."""
    if step.hook != "FORWARD" or step.returning or not step.oif or not _of_ip(step):
        return
    reply = behind.reply_of(step)
    for rule in step.rules:
        conditions, _, target = rule.rpartition(" -j ")
        if target and matching.iptables_holds(matching.split(conditions), reply):
            if target.split()[0] in ("ACCEPT", "RETURN"):
                return
            if target.split()[0] in ("DROP", "REJECT") and rule != step.rule:
                yield rule


def for_a_shell(rule: str) -> str:
    """A rule as its program saves it, which escapes within quotes as no shell does, with words that a shell leaves."""
    if not _ODD.search(rule):
        return rule
    found = _WORD.finditer(rule)
    return " ".join(shlex.quote(re.sub(r"\\(.)", r"\1", one[1])) if one[1] is not None else one[0] for one in found)


def past_policy(step: MetRule) -> str:
    """The command that lets the packet, and its reply by the same way, past a chain's policy."""
    if not _of_ip(step):
        if is_iptables(step):
            return f"{command(step)} -P {step.chain} {'RETURN' if len(step.path) > 1 else 'ACCEPT'}"
        return f"nft 'chain {step.table} {step.chain} {{ policy accept; }}'"
    return " && ".join(_accepting(step, direction, link) for direction, link in _directions(step))


def _directions(step: MetRule) -> list[tuple[str, str]]:
    """The links to accept by: what comes in by the packet's own, and where it is routed, also what goes back."""
    if step.hook in ("OUTPUT", "POSTROUTING"):
        return [("out", step.oif)]
    known = lets_replies_back(step) and step.state != "untracked"
    both = step.hook == "FORWARD" and step.iif != step.oif and not known
    return [("in", step.iif), ("out", step.iif)] if both else [("in", step.iif)]


def _accepting(step: MetRule, direction: str, link: str) -> str:
    """The command that accepts by a link: in front of a rule, or where a policy is, at the end if that is reached."""
    first = bool(step.rule) or _leaves_before(step)
    if is_iptables(step):
        links = f" -{direction[0]} {shlex.quote(link)}" if link else ""
        number = f" {step.number}" if step.rule else ""
        return f"{command(step)} -{'I' if first else 'A'} {step.chain}{number}{links} -j ACCEPT"
    links = f"{'iif' if direction == 'in' else 'oif'}name {link} " if link else ""
    handle = f"handle {step.handle} " if step.rule else ""
    return f"nft {'insert' if first else 'add'} rule {step.table} {step.chain} {handle}{links}accept"


def _leaves_before(step: MetRule) -> bool:
    """Whether a rule may have left the chain before its end, so that none that is appended would be met."""
    return any(_LEAVES.search(rule) for rule in step.rules)


def lets_replies_back(step: MetRule) -> bool:
    """Whether the chain that ended a packet accepts what belongs to known connections."""
    return any(_ESTABLISHED.search(rule) for rule in step.rules)


def firewall_of(loss: Loss, step: MetRule) -> Mapping[str, tuple[str, ...]]:
    """The rules and sets at the place of a step, as a state has them."""
    known = loss.once(_read)
    if step.place not in known:
        known[step.place] = loss.place.lab.place(step.place).state(connections=False).firewall
    return known[step.place]


def _read(_: Loss) -> dict[str, Mapping[str, tuple[str, ...]]]:
    """What was read of places so far."""
    return {}


def command(step: MetRule) -> str:
    """The program with its table: ``iptables -t nat``."""
    table = step.table.partition(" ")[2]
    return step.program if table == "filter" else f"{step.program} -t {table}"
