"""From a trace to what became of a probe's packets, on traces written by hand: what is proof, and what is none."""

from __future__ import annotations

import pytest

from cnitest.kernel.packet_socket import Frame
from cnitest.kernel.tracing.buffers import BufferEnd, buffers
from cnitest.kernel.tracing.events import TraceEvent
from cnitest.lab.probe.verdict.freed import Captured, what_became
from cnitest.lab.reach import Freed

US, OTHER = 7, 8
FIREWALL = "nft_do_chain NETFILTER_DROP"
FORWARDED = """
    task a out eth0 98
    task a over v0 84
    soft a in v0 84
    soft a in br0 84
"""
ARRIVED = """
    soft a out v1 98
    soft a over eth1 84
    soft a in eth1 84
"""
REPLIED = """
    soft r out eth1 98
    soft r over v1 84
    soft a used
    soft r in v1 84
"""


def trace(text: str) -> list[TraceEvent]:
    """Events from short lines: context, buffer, what happened to it, where, how long it is."""
    found = []
    for number, line in enumerate(text.split("\n")):
        words = line.split()
        if not words:
            continue
        context, address, what, *rest = words
        task = OTHER if context == "other" else US
        name, said = _event(address, what, rest)
        found.append(TraceEvent(number * 1000, name, task, 0, context == "task", said))
    return found


def _event(address: str, what: str, rest: list[str]) -> tuple[str, str]:
    names = {"out": "net_dev_queue", "over": "netif_rx", "in": "netif_receive_skb"}
    if what in names:
        return names[what], f"dev={rest[0]} skbaddr={address} len={rest[1]}"
    if what == "asks":
        return "neigh_event_send_done", f"family 2 dev eth1 nud_state incomplete primary_key4 {address}"
    if what == "told":
        return "neigh_update", f"family 2 dev eth1 nud_state incomplete primary_key4 {address} new_state reachable"
    if what == "used":
        return "consume_skb", f"skbaddr={address} location=icmp_rcv+0x1/0x2"
    return "kfree_skb", f"skbaddr={address} rx_sk=0 protocol=2048 location={rest[0]}+0x1/0x2 reason: {rest[1]}"


def frame(link: str, *, out: bool) -> Frame:
    """A frame of 98 bytes on a link."""
    return Frame(0, link, out, bytes(98))


def captured(*, arrived: bool = False, answered: bool = False) -> Captured:
    """The sniffers of a sender and of the far end, which may have received the probe, and answered."""
    far = [frame("eth1", out=False)] * arrived + [frame("eth1", out=True)] * answered
    return Captured("s", [frame("eth0", out=True)], 0x0800, "f", far)


def test_a_packet_that_was_freed_on_its_way_is_lost():
    """Its own buffer, from its leaving to its end."""
    fate = what_became(trace(f"{FORWARDED} soft a freed {FIREWALL}"), US, captured())

    assert fate.freed == (Freed("NETFILTER_DROP", "nft_do_chain", "", "br0"),)
    assert (fate.settled, fate.pending) == (True, False)


def test_nothing_is_said_of_what_was_not_seen_to_end():
    """It may be in a queue."""
    fate = what_became(trace(FORWARDED), US, captured())

    assert (fate.settled, fate.pending) == (False, True)


def test_what_others_lose_is_none_of_ours():
    """A packet of another thread, and one as long of our own that did not leave where ours did."""
    text = f"other x out eth0 98\nother x freed {FIREWALL}\ntask y out eth9 98\ntask y freed {FIREWALL}"

    assert not what_became(trace(text), US, captured()).settled


def test_a_reply_that_was_freed_before_it_left_is_lost():
    """It was made while the probe was received, and no link ever had it."""
    text = f"{FORWARDED}{ARRIVED} soft r freed {FIREWALL}\n soft a used"

    fate = what_became(trace(text), US, captured(arrived=True))

    assert fate.freed == (Freed("NETFILTER_DROP", "nft_do_chain", "f", returning=True),)
    assert fate.settled


def test_a_reply_that_was_freed_on_its_way_is_lost():
    """What the far end was seen to send is the reply, although it is as long as a copy of the probe would be."""
    text = f"{FORWARDED}{ARRIVED}{REPLIED} soft r freed {FIREWALL}"

    fate = what_became(trace(text), US, captured(arrived=True, answered=True))

    assert fate.freed == (Freed("NETFILTER_DROP", "nft_do_chain", "", "v1", returning=True),)
    assert fate.settled


@pytest.mark.parametrize("rest", ["", "soft x out eth5 60", "task y out eth1 60"])
def test_a_drop_settles_nothing_while_something_lives(rest):
    """A reply, a copy or whatever else was begun since has to end first."""
    text = f"{FORWARDED}{ARRIVED}{REPLIED}" if not rest else f"{FORWARDED} soft a freed {FIREWALL}\n{rest}"

    assert not what_became(trace(text), US, captured(arrived=not rest, answered=not rest)).settled


def test_a_question_for_a_neighbour_holds_packets():
    """They wait without a word; once it is answered they do not."""
    lost = f"{FORWARDED} soft a freed {FIREWALL}"

    assert not what_became(trace(f"{lost}\n soft 10.0.0.1 asks"), US, captured()).settled
    assert what_became(trace(f"{lost}\n soft 10.0.0.1 asks\n soft 10.0.0.1 told"), US, captured()).settled


@pytest.mark.parametrize(
    ("freed", "settled"),
    [
        ("ip_error NOT_SPECIFIED", True),
        ("br_handle_frame_finish.isra.0 NOT_SPECIFIED", True),
        ("icmpv6_rcv NOT_SPECIFIED", False),
        ("nf_queue NOT_SPECIFIED", False),
        ("ip_rcv_core OTHERHOST", False),
        ("ping_rcv NO_SOCKET", False),
        ("tbf_enqueue QDISC_DROP", False),
        ("ip_rcv_finish_core IP_RPFILTER", True),
    ],
)
def test_not_every_end_is_a_loss(freed, settled):
    """Some say that a copy is kept, that it was for someone else, or that the next one may get through."""
    assert what_became(trace(f"{FORWARDED} soft a freed {freed}"), US, captured()).settled is settled


def test_what_arrived_and_has_no_reason_is_no_loss():
    """The far end frees what it has answered, too."""
    text = f"{FORWARDED}{ARRIVED} soft a freed ip_error NOT_SPECIFIED"

    assert not what_became(trace(text), US, captured(arrived=True)).settled


def test_a_copy_for_someone_else_is_not_the_probe():
    """A bridge floods: what the wrong hosts throw away settles nothing, what the right one does is reported."""
    flooded = f"{FORWARDED} soft c out v2 98\n soft c over eth2 84\n soft a out v1 98\n soft a over eth1 84"
    ended = "\n soft c in eth2 84\n soft c freed ip_rcv_core OTHERHOST\n soft a in eth1 84\n"

    used = what_became(trace(f"{flooded}{ended} soft a used"), US, captured(arrived=True))
    dropped = what_became(trace(f"{flooded}{ended} soft a freed {FIREWALL}"), US, captured(arrived=True))

    other = what_became(
        trace(f"{flooded}{ended.replace('ip_rcv_core OTHERHOST', FIREWALL)} soft a used"), US, captured(arrived=True)
    )

    assert not used.settled
    assert not other.settled
    assert dropped.settled
    assert [row.reason for row in dropped.freed] == ["NETFILTER_DROP"]


def test_an_address_that_is_given_anew_is_another_buffer():
    """A program has read a datagram, and its answer got the memory: sent, or dropped before it was."""
    received = f"{FORWARDED}{ARRIVED}"

    sent = buffers(trace(f"{received} task a out eth1 98"))
    dropped = buffers(trace(f"{received} task a freed {FIREWALL}"))

    assert [each.end for each in sent] == [BufferEnd.UNKNOWN, BufferEnd.UNKNOWN]
    assert [each.end for each in dropped] == [BufferEnd.UNKNOWN, BufferEnd.DROPPED]
    assert [len(each.hops) for each in dropped] == [7, 0]


def test_our_own_listener_has_taken_what_it_answered():
    """That a datagram was read is not noted; the answer, dropped as it was sent, says so."""
    text = f"{FORWARDED}{ARRIVED} task r freed {FIREWALL}"

    fate = what_became(trace(text), US, captured(arrived=True))

    assert fate.freed == (Freed("NETFILTER_DROP", "nft_do_chain", "f", returning=True),)
    assert fate.settled


def test_what_never_left_is_known_by_its_sending():
    """Nobody saw a frame: the first that is dropped while our thread sends is the probe."""
    unseen = Captured("s", [], 0x0800, "f", [])

    fate = what_became(trace(f"task a freed {FIREWALL}"), US, unseen)

    assert fate.freed == (Freed("NETFILTER_DROP", "nft_do_chain", "s"),)
    assert fate.settled
    assert not what_became(trace("task a freed inet_rtm_getroute NOT_SPECIFIED"), US, unseen).freed
