"""Lines of a trace become rows: each format of event that is taken, and what a trace says of itself."""

from __future__ import annotations

import pytest

from cnitest.kernel.tracing.events import Lost, TraceEvent, parse

HEAD = "          python-16260   [001] ..s1. 31036.780411: "
NEIGHBOUR = (
    "neigh_update: family 2 dev br01 lladdr  flags 00 nud_state incomplete type 01 dead 0 refcnt 3 "
    "primary_key4 10.40.80.1 primary_key6 ::ffff:10.40.80.1"
)
MODULE = (
    "kfree_skb: skbaddr=00000000b65b540c rx_sk=0000000000000000 protocol=2048 "
    "location=nft_do_chain+0x637/0x690 [nf_tables] reason: NETFILTER_DROP"
)


def only(line: str) -> TraceEvent | Lost:
    """The one row of a line."""
    (row,) = parse([HEAD + line])
    return row


def test_an_event_says_when_and_in_whose_name():
    """Time in nanoseconds, event, thread, processor; a softirq is not the task that it interrupts."""
    softirq = only("net_dev_queue: dev=veth01 skbaddr=000000003770665f len=98")
    (task,) = parse([HEAD.replace("..s1.", "b....") + "netif_rx: dev=a skbaddr=1 len=1"])

    assert softirq[:5] == (31036_780_411_000, "net_dev_queue", 16260, 1, False)
    assert task.in_task


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            "net_dev_queue: dev=veth01 skbaddr=0000000037 len=98",
            {"dev": "veth01", "skbaddr": "0000000037", "len": "98"},
        ),
        (MODULE, {"protocol": "2048", "location": "nft_do_chain+0x637/0x690 [nf_tables]", "reason": "NETFILTER_DROP"}),
        (NEIGHBOUR, {"dev": "br01", "lladdr": "", "nud_state": "incomplete", "primary_key4": "10.40.80.1"}),
    ],
)
def test_what_an_event_says_is_there_by_name(line, said):
    """Names are those of the event's own format."""
    assert said.items() <= dict(only(line).fields).items()


def test_a_trace_says_what_it_has_lost():
    """With and without a count; other lines are no rows."""
    rows = list(parse(["CPU:1 [LOST 18344 EVENTS]", "CPU:0 [LOST EVENTS]", "# tracer: nop", ""]))

    assert rows == [Lost(1, 18344), Lost(0, 0)]


@pytest.mark.parametrize("comm", ["<...>", "a b-7 [x", "kworker/0:1-ev"])
def test_a_command_may_be_called_anything(comm):
    """The thread and what follows are read right whatever the command's name has in it."""
    (row,) = parse([f"{comm:>16}-42      [000] b..1. 7.000001: netif_rx: dev=a skbaddr=1 len=1"])

    assert (row.task, row.name, row.when) == (42, "netif_rx", 7_000_001_000)
