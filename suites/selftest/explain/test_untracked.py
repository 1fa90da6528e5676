"""Rules that ask connection tracking about packets that are not tracked, or are in another zone than their request."""

from __future__ import annotations

import pytest
from cnitest.suites.selftest.explain.ways import Broken, must_be_explained

NFT = (
    "nft 'add table inet f; add chain inet f p { type filter hook prerouting priority -300; }; "
    "add rule inet f p notrack; "
    "add chain inet f g { type filter hook forward priority 0; policy drop; }; "
    "add rule inet f g ct state { established, new } accept'"
)
IPT = "{t} -t raw -A PREROUTING -j NOTRACK; {t} -A FORWARD -m conntrack --ctstate ESTABLISHED,NEW -j ACCEPT"
LEGACY = (
    "{t}-legacy -t raw -A PREROUTING -j CT --notrack; {t}-legacy -A FORWARD -m state --state NEW -j ACCEPT; "
    "{t}-legacy -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT; {t}-legacy -P FORWARD DROP"
)
OTHER = "{t} -t raw -A PREROUTING -j NOTRACK; {t} -A FORWARD -i eth9 -m conntrack --ctstate ESTABLISHED,NEW -j ACCEPT"
ZONES = (
    "{t} -t raw -A PREROUTING -i eth1 -j CT --zone 1; {t} -t raw -A PREROUTING -i eth3 -j CT --zone 2; "
    "{t} -A FORWARD -i eth1 -j ACCEPT; {t} -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT"
)
DROP = "; {t} -P FORWARD DROP"
BROKEN = [
    ("conntrack.untracked", NFT, "inet f g policy", "nft delete rule inet f p handle 2"),
    ("conntrack.untracked", IPT + DROP, "FORWARD policy", "{t} -t raw -D PREROUTING -j NOTRACK"),
    ("conntrack.untracked", LEGACY, "FORWARD policy", "{t}-legacy -t raw -D PREROUTING -j CT --notrack"),
    # The rule would not have matched what is tracked, either: both directions have to be accepted.
    ("firewall.policy", OTHER + DROP, "FORWARD policy", "-A FORWARD -o eth1 -j ACCEPT"),
    ("conntrack.zone", ZONES + DROP, "FORWARD policy", "-i eth3 -j CT --zone 2"),
]


@pytest.mark.parametrize("probe", ["ping", "tcp", "udp"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize(("cause", "does", "dropped_by", "remedy"), BROKEN)
def test_what_connection_tracking_does_not_know_is_named(cause, does, dropped_by, remedy, family, probe):
    """The rule that keeps the packet from being tracked, or all that give it zones, and the remedy is enough."""
    whole = dropped_by if dropped_by.startswith("inet") else f"{'ip' if family == 4 else 'ip6'} filter {dropped_by}"

    must_be_explained(Broken(cause, (f"r1: {does}",), whole, "r1", remedy, probe=probe), family)
