"""The points of a packet's path at which it can end, in the order in which it comes to them."""

from __future__ import annotations

import enum


class Stage(enum.Enum):
    """The points of a place's packet path at which a packet can end, in the order in which it comes to them.

    Before them all come rules that were seen to end it.
    """

    TRACED = "a rule that the kernel reported"
    SOCKET_OUT = "the sender's socket and route"
    OUTPUT = "rules for what the place itself sends"
    TUNNEL = "the tunnel that carries it"
    WIRE = "the wire to the next place"
    INGRESS = "tc and netdev rules where it comes in"
    BRIDGE = "the bridge"
    PREROUTING = "rules and connection tracking before routing"
    ROUTING = "the routing decision"
    FORWARD = "rules for what is forwarded"
    INPUT = "rules for what is for the place itself"
    SOCKET_IN = "the socket that it is for"
    POSTROUTING = "rules after routing"
    NEIGHBOUR = "the MAC of the next hop"
    EGRESS = "tc, netdev rules and the queue where it goes out"


SENDING = (Stage.SOCKET_OUT, Stage.OUTPUT, Stage.POSTROUTING, Stage.NEIGHBOUR, Stage.EGRESS)
INSIDE = (
    Stage.TUNNEL,
    Stage.INGRESS,
    Stage.BRIDGE,
    Stage.PREROUTING,
    Stage.ROUTING,
    Stage.FORWARD,
    Stage.INPUT,
    Stage.SOCKET_IN,
    Stage.POSTROUTING,
    Stage.NEIGHBOUR,
    Stage.EGRESS,
)
OUTSIDE = (Stage.TUNNEL, Stage.WIRE)
# What a bridge hands on meets the rules of IP only by br_netfilter, and IP's routing, sockets and neighbours never.
BRIDGED = (Stage.TUNNEL, Stage.INGRESS, Stage.BRIDGE, Stage.PREROUTING, Stage.FORWARD, Stage.POSTROUTING, Stage.EGRESS)
