"""Several rules and policies at one hook that end the same packet: the remedy is for all of them."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.breaking import Broken, demand

from cnitest.lab.place import Place

FAR = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}
MASQUERADE = "{i} -t nat -A POSTROUTING -o ens33 -j MASQUERADE; "
OWN_CHAINS = "{i} -N A1; {i} -N B1; {i} -A A1 -p tcp -j DROP; {i} -A B1 -d {far} -j DROP; "
NFT = """nft -f - <<'.'
table inet f {
  chain x { tcp dport 80 drop; }
  chain y { meta l4proto tcp counter drop comment "two"; }
  chain c { type filter hook forward priority 0; jump x; jump y; }
  chain d { type filter hook forward priority 10; policy drop;
    ct state established accept; meta l4proto icmpv6 accept; }
}
."""
CASES = {
    "own chains": (
        OWN_CHAINS + "{i} -A FORWARD -j A1; {i} -A FORWARD -j B1",
        "{i} -D A1 -p tcp -j DROP && {i} -D B1 -d {far}/{full} -j DROP",
    ),
    "one rule twice": (
        "{i} -A FORWARD -p tcp -j DROP; {i} -A FORWARD -p tcp -j DROP",
        "{i} -D FORWARD -p tcp -j DROP && {i} -D FORWARD -p tcp -j DROP",
    ),
    "not reached": (
        OWN_CHAINS + "{i} -A FORWARD -j A1; {i} -A FORWARD -p tcp -j ACCEPT; {i} -A FORWARD -j B1",
        "{i} -D A1 -p tcp -j DROP",
    ),
    "not certain": (
        "{i} -A FORWARD -p tcp -j DROP; {i} -A FORWARD -m length --length 0:900 -j ACCEPT; "
        "{i} -A FORWARD -p tcp -m tcp --dport 80 -j DROP",
        "{i} -D FORWARD -p tcp -j DROP",
    ),
    "of the reply": (
        OWN_CHAINS + "{i} -A FORWARD -j A1; {i} -A FORWARD -i br01 -j ACCEPT; {i} -A FORWARD -j DROP",
        "{i} -D A1 -p tcp -j DROP && {i} -D FORWARD -j DROP",
    ),
    "left for good": (
        "{i} -N Z; {i} -N P; {i} -A P -p tcp --dport 80 -j DROP; {i} -A Z -p tcp -g P; {i} -A Z -p tcp -j REJECT; "
        "{i} -A FORWARD -i br01 -j Z; {i} -A FORWARD -i br01 -p tcp -j DROP",
        "{i} -D P -p tcp -m tcp --dport 80 -j DROP && {i} -D FORWARD -i br01 -p tcp -j DROP",
    ),
    "both variants": (
        "{l} -P FORWARD DROP; {i} -A FORWARD -p tcp -j DROP",
        "{i} -D FORWARD -p tcp -j DROP && {l} -A FORWARD -i br01 -j ACCEPT && {l} -A FORWARD -o br01 -j ACCEPT",
    ),
    "policies": (
        "{i} -P FORWARD DROP; " + NFT.replace("jump x; jump y;", ""),
        "{i} -A FORWARD -i br01 -j ACCEPT && {i} -A FORWARD -o br01 -j ACCEPT && "
        "nft add rule inet f d iifname br01 accept",
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("case", CASES)
def test_the_remedy_is_for_all_that_drop_it(case, family):
    """What is known to end the packet next is taken away at once, and nothing that it does not come to."""
    program = "iptables" if family == 4 else "ip6tables"
    words = {"i": program, "l": f"{program}-legacy", "far": FAR[family], "full": 32 if family == 4 else 128}
    break_it, remedy = (
        text.replace("{i}", words["i"]).replace("{l}", words["l"]).replace("{far}", words["far"]).replace(
            "{full}", str(words["full"]))
        for text in CASES[case]
    )  # fmt: skip
    cause, dropped_by = _by(remedy, "6" if family == 6 else "")
    broken = Broken(
        cause,
        dropped_by,
        "node",
        remedy,
        {"node": MASQUERADE.replace("{i}", program) + break_it},
        to=FAR[family],
        probe=lambda place, to: Place.tcp(place, to, 80),
    )
    demand(broken, warm=False)


def _by(remedy: str, six: str) -> tuple[str, str]:
    """The cause, and what is said to drop it, by the first of the commands."""
    if " -A FORWARD" in remedy.partition(" && ")[0]:
        return "firewall.policy", f"ip{six} filter FORWARD policy"
    chain = remedy.split()[2]
    return "firewall.rule", f"ip{six} filter {chain} rule 1"


@pytest.mark.parametrize("family", [4, 6])
def test_the_rules_of_nftables_that_drop_it_go_by_their_handles(family):
    """Those in chains that are jumped to, and the policy of a base chain behind."""
    program = "iptables" if family == 4 else "ip6tables"
    broken = Broken(
        "nftables.rule",
        "inet f x rule 1",
        "node",
        "nft delete rule inet f x handle 5 && nft delete rule inet f y handle 6 && "
        "nft add rule inet f d iifname br01 accept",
        {"node": MASQUERADE.replace("{i}", program) + NFT},
        to=FAR[family],
        probe=lambda place, to: Place.tcp(place, to, 80),
    )
    demand(broken, warm=False)
