"""Sources that nobody can answer: MASQUERADE missing, not matching or passed by; SNAT to somebody else's address."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from cnitest.explain.causes import drops
from cnitest.explain.causes.matching import covers
from cnitest.explain.causes.nat import turns, untranslated
from cnitest.explain.causes.registry import Found, cause
from cnitest.explain.evidence import translation
from cnitest.explain.evidence.ip import declared
from cnitest.explain.evidence.loss import Loss, Stage
from cnitest.explain.evidence.translation import NatRule, Passage

#: Where an answer to a source that nobody knows can end.
ON_THE_WAY_BACK = (Stage.SOCKET_OUT, Stage.WIRE, Stage.INGRESS, Stage.ROUTING, Stage.NEIGHBOUR)
_MASQUERADES = re.compile(r"-j MASQUERADE\b|\bmasquerade\b")
_NETWORK = re.compile(r"-j NETMAP --to (\S+)")
_FIRST = -10
# What a rule asks of source, destination and the link that the packet leaves by.
_TERMS = re.compile(
    r"(?P<not>! )?(?P<what>-s|-d|-o|ip6? saddr|ip6? daddr|oifname|oif) (?P<op>!= )?"
    r"(?!vmap )(?P<value>\{ [^}]* \}|\"?[^\s\"{}@]+\"?)"
)


_NO_CONDITION = r'-m comment --comment ("[^"]*"|\S+)|comment "[^"]*"|\bcounter\b(?: packets \d+ bytes \d+)?'
# What a rule does with the packet, to the end of its words.
_TARGET = r"(-j \S+|\b(masquerade|snat)\b).*$"
_MARK = re.compile(
    r"-m mark (?P<not>! )?--mark (?P<value>\w+)(?:/(?P<mask>\w+))?"
    r"|meta mark (?:& (?P<and>\w+) )?(?P<op>!= )?(?:== )?(?P<is>0x\w+|\d+)"
)
_MARKS = re.compile(r"-j (MARK|CONNMARK)\b|\bmeta mark set\b|\bct mark set\b")


@cause("nat.masquerade-skipped", *ON_THE_WAY_BACK, order=_FIRST)
def skipped(loss: Loss) -> Found | None:
    """Another rule of nat comes first, so that the one that translates the source (MASQUERADE, SNAT) is not reached."""
    private = loss.once(untranslated.left_untranslated)
    if private is None:
        return None
    reported = _ended(loss, private)
    if reported:
        return reported
    holding, mark = [rule for rule in rules_of(loss, private) if not mismatched(rule, private)], _mark(loss, private)
    for at, rule in enumerate(holding):
        later = [one for one in holding[at + 1 :] if one.translates_source and one[:3] == rule[:3]]
        ended = rule.ends and _is_understood(rule, mark)
        if ended and later and not _translates_there(rule, holding):
            return _found(
                loss,
                private,
                "rule before MASQUERADE",
                f"{rule} comes before {later[0].text}, so {private.came.source} is not translated",
            )
    return None


def _ended(loss: Loss, one: Passage) -> Found | None:
    """The rule that the kernel reports to have ended the request's way through a chain, where one that translates its
    source comes after it."""
    rules = rules_of(loss, one)
    for steps in turns.met(loss, one.place, "POSTROUTING", {rule.table for rule in rules}):
        last = turns.ended_by(steps)
        left = turns.after(rules, last) if last else []
        later = next((rule for rule in left if rule.translates_source and not mismatched(rule, one)), None)
        if last and later and last.rule != later.text:
            said = f"{drops.where(last)}: {last.rule.removeprefix(f'-A {last.chain} ')} comes before {later.text}"
            return _found(loss, one, "rule before MASQUERADE", f"{said}, so {one.came.source} is not translated")
    return None


def _translates_there(jump: NatRule, holding: Iterable[NatRule]) -> bool:
    """Whether a rule goes to a chain that translates the source."""
    found = re.search(r"(?:-g|\bgoto) (\S+)$", jump.text)
    return found is not None and any(one.chain == found[1] and one.translates_source for one in holding)


@cause("nat.snat-stale", *ON_THE_WAY_BACK, order=_FIRST)
def stale(loss: Loss) -> Found | None:
    """A connection is tracked from before the rule that would translate its source (MASQUERADE, SNAT), and goes on
    untranslated."""
    private = loss.once(untranslated.left_untranslated)
    known = translation.flow(private.place, private.came) if private else None
    if private is None or known is None or known.reply_destination != known.source:
        return None
    rules = rules_of(loss, private)
    now = next((rule for rule in rules if rule.translates_source and _holds(rules, rule, private)), None)
    if now is None or turns.met(loss, private.place, "POSTROUTING", {rule.table for rule in rules}):
        return None
    where = private.place.full_name
    words = f"{where} tracks {known.source} → {known.destination} from before its rules changed: its source stays"
    ends = f"-s {private.came.source} -d {private.came.destination}"
    found = _found(loss, private, "stale conntrack entry", words)
    remedy = f"conntrack -D -f {loss.family} -p {known.protocol} {ends}"
    return found._replace(evidence=(f"now: {now}", *found.evidence), remedy=remedy)


def _holds(rules: Iterable[NatRule], rule: NatRule, one: Passage) -> bool:
    """Whether a rule translates the source of a connection that begins now, by all that it asks for."""
    return not (mismatched(rule, one) or _unreached(rules, rule, one) or rest(rule))


@cause("nat.masquerade-mismatch", *ON_THE_WAY_BACK, order=_FIRST)
def mismatch(loss: Loss) -> Found | None:
    """The rule that translates the source (MASQUERADE, SNAT) does not match: another subnet, link, mark, or set."""
    private = loss.once(untranslated.left_untranslated)
    if private is None:
        return None
    rules = rules_of(loss, private)
    for rule in rules:
        why = mismatched(rule, private) or _unreached(rules, rule, private)
        if rule.translates_source and why:
            return _found(loss, private, "MASQUERADE does not match", f"{rule} does not match: {why}")
    for rule in rules:
        left = rest(rule)
        if rule.translates_source and left:
            said = f"{rule} does not match: it asks for {left}"
            found = _found(loss, private, "MASQUERADE does not match", said)
            return found._replace(evidence=(*_marking(loss, private, left), *found.evidence))
    return None


def rest(rule: NatRule) -> str:
    """What a rule asks for besides source, destination and link, which is not compared here: a mark, a set, a port."""
    bare = _TERMS.sub("", re.sub(_NO_CONDITION, "", rule.text))
    return " ".join(re.sub(_TARGET, "", re.sub(r"^-A \S+", "", bare)).split())


def _marking(loss: Loss, one: Passage, conditions: str) -> list[str]:
    """The rules that set the packet's mark at a place, in order, where a rule asks for one."""
    here = (step for step in loss.steps if step.place == one.place.full_name and not step.returning)
    marking = [f"{drops.where(step)}: {step.rule}" for step in here if _MARKS.search(step.rule)]
    return list(dict.fromkeys(marking)) if "mark" in conditions else []


@cause("nat.masquerade-missing", *ON_THE_WAY_BACK, order=_FIRST)
def missing(loss: Loss) -> Found | None:
    """A private source left by the uplink as it was (no MASQUERADE), and the far end has no way back to it."""
    private = loss.once(untranslated.left_untranslated)
    if private is None or any(rule.translates_source for rule in rules_of(loss, private)):
        return None
    where = f"{private.place.full_name}:{private.oif}"
    return _found(
        loss, private, "no MASQUERADE", f"{private.came.source} left by {where} as it was: nothing masquerades it"
    )


@cause("nat.snat-address", *ON_THE_WAY_BACK, order=_FIRST)
def snat_address(loss: Loss) -> Found | None:
    """The source was translated (SNAT) to an address that the translating place does not have."""
    for one in filter(None, (translation.own(loss), *translation.passages(loss))):
        new = one.left.source
        struck = new == loss.packet.destination if loss.returning else loss.received and loss.owns(new)
        if one.came.source == new or not struck or loss.owns(new, one.place):
            continue
        owner = loss.owner(new)
        where = one.place.full_name
        wrong = next((rule for rule in rules_of(loss, one) if _gives(rule, new)), None)
        return Found(
            "SNAT to an address not its own",
            f"{where} translates {one.came.source} to {new}, which {owner.full_name if owner else 'nobody'} has",
            hook="POSTROUTING",
            evidence=tuple(f"{rule}" for rule in rules_of(loss, one) if new in rule.text or rule == wrong),
            remedy=f"ip address add {new}/{128 if loss.six else 32} dev {one.oif}"
            if owner is None and loss.in_network(new, one.place, one.oif)
            else masquerade(loss, one, "-I", wrong),
            place=where,
        )
    return None


@cause("nat.masquerade-address", *ON_THE_WAY_BACK, order=_FIRST)
def masquerade_address(loss: Loss) -> Found | None:
    """MASQUERADE takes an address of another link, since the one that the packet leaves by has none."""
    for one in translation.passages(loss):
        new = one.left.source
        if (
            one.came.source == new
            or not loss.returning
            or new != loss.packet.destination
            or untranslated.uplink_of(loss, one)
        ):
            continue
        rule = next((rule for rule in rules_of(loss, one) if _MASQUERADES.search(rule.text)), None)
        where, link = one.place.full_name, next((row.link for row in one.place.addresses if row.ip == new), "")
        if rule is None or not link:
            continue
        steps = [step for step in declared.addresses(one.place) if step.link.name == one.oif]
        again = [step.address for step in steps if (":" in step.address) == loss.six]
        wanted = next((each for each in again if not ipaddress.ip_interface(each).is_link_local), "…")
        return Found(
            "MASQUERADE without an address",
            f"{where} translates {one.came.source} to {new}, which is {link}'s: {one.oif} has no address",
            hook="POSTROUTING",
            evidence=(str(rule), f"{loss.place.full_name} has no way back to {new}"),
            remedy=f"ip address add {wanted} dev {one.oif}{' nodad' if loss.six else ''}",
            place=where,
        )
    return None


def rules_of(loss: Loss, one: Passage) -> tuple[NatRule, ...]:
    """The rules of nat that a packet may meet where it leaves a place."""
    return tuple(rule for rule in translation.rules(loss, one.place) if rule.hook in ("POSTROUTING", ""))


def mismatched(rule: NatRule, one: Passage) -> str:
    """What a rule asks for and the packet does not have; empty when nothing is seen to keep it from matching."""
    values = {"-s": one.left.source, "-d": one.left.destination, "-o": one.oif}
    for term in _TERMS.finditer(rule.text):
        what = {"saddr": "-s", "daddr": "-d", "oifname": "-o", "oif": "-o"}.get(term["what"].split()[-1], term["what"])
        if covers(term["value"].strip('"'), values[what]) == bool(term["not"] or term["op"]):
            name = {"-s": "the source is", "-d": "the destination is", "-o": "it leaves by"}[what]
            return f"{term[0].strip()}, but {name} {values[what]}"
    return ""


def _unreached(rules: Iterable[NatRule], rule: NatRule, one: Passage) -> str:
    """Why no jump leads to the chain of a rule; empty when one does, or when the chain is not jumped to."""
    if rule.hook:
        return ""
    jumps = turns.leading_to(rules, rule.chain)
    reasons = [mismatched(each, one) for each in jumps]
    if jumps and not all(reasons):
        return ""
    return f"the jump to its chain asks for {reasons[0]}" if jumps else f"nothing jumps to the chain {rule.chain}"


def _is_understood(rule: NatRule, mark: int | None) -> bool:
    """Whether a rule asks for nothing but what is looked at here, and a mark (where it is known) that a packet has."""
    bare = _TERMS.sub("", re.sub(_NO_CONDITION, "", rule.text))
    if mark is not None and _asks_for(rule.text, mark):
        bare = _MARK.sub("", bare)
    return bool(re.fullmatch(r"\s*(-A \S+)?\s*(-j \w+|-g \S+|accept|return|goto \S+)\s*", bare))


def _mark(loss: Loss, one: Passage) -> int | None:
    """The mark that a place gave the request by where it left; None where that is not known: rules of nat are met by a
    connection's first packet alone."""
    if any(_MARKS.search(rule.text) for rule in translation.rules(loss, one.place)):
        return None
    met = [step.mark for step in loss.steps if step.place == one.place.full_name and not step.returning]
    lines = (line for rules in loss.full_state(one.place).firewall.values() for line in rules)
    return met[-1] if met else None if any(_MARKS.search(line) for line in lines) else 0


def _asks_for(text: str, mark: int) -> bool:
    """Whether a mark is one that a rule asks for, where it does ask for one."""
    found = _MARK.search(text)
    if found is None:
        return True
    mask = int(found["mask"] or found["and"] or "0xffffffff", 0)
    return (mark & mask == int(found["value"] or found["is"], 0)) != bool(found["not"] or found["op"])


def _found(loss: Loss, one: Passage, dropped_by: str, words: str) -> Found:
    other = "IPv4" if loss.six else "IPv6"
    lines = loss.full_state(one.place).firewall.get("iptables" if loss.six else "ip6tables", ())
    elsewhere = [f"{other} is: {line}" for line in lines if re.search(r"-j (MASQUERADE|SNAT)", line)]
    return Found(
        dropped_by,
        words,
        hook="POSTROUTING",
        evidence=(
            f"{untranslated.who_lacks_a_way(loss, one).full_name} has no way back to {one.came.source}, but one to "
            f"{untranslated.uplink_of(loss, one)}",
            *elsewhere,
        ),
        remedy=masquerade(loss, one, "-I" if "before" in dropped_by else "-A"),
        place=one.place.full_name,
    )


def _gives(rule: NatRule, new: str) -> bool:
    """Whether a rule translates a source to a new address: it names it, or a network that has it (NETMAP)."""
    network = _NETWORK.search(rule.text)
    return rule.translates_source and (new in rule.text or bool(network and covers(network[1], new)))


def masquerade(loss: Loss, one: Passage, how: str, before: NatRule | None = None) -> str:
    """The command that has a place translate the source's subnet where it leaves, ``before`` the rule that does it
    wrongly: by the program that made that."""
    if before and before.program == "nft":
        match = f"{'ip6' if loss.six else 'ip'} saddr {_subnet(loss, one)} oifname {one.oif}"
        return f"nft insert rule {before.table} {before.chain} {match} masquerade"
    program = before.program if before else "ip6tables" if loss.six else "iptables"
    return f"{program} -t nat {how} POSTROUTING -s {_subnet(loss, one)} -o {one.oif} -j MASQUERADE"


def _subnet(loss: Loss, one: Passage) -> str:
    """The subnet of the source, as the place that it came to has it."""
    wanted = ipaddress.ip_address(one.came.source)
    rows = [row.address for row in loss.state(one.place).addresses if row.link == one.iif]
    networks = (ipaddress.ip_interface(row).network for row in rows)
    return str(next((network for network in networks if wanted in network), wanted))
