"""What connection tracking and programs of eBPF drop in netfilter, where no rule says so."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

import pytest

from cnitest import Lab, load
from cnitest.topology import find

ROUTER = {4: "192.168.80.2", 6: "2001:db8:80::2"}
TABLES = {4: "iptables", 6: "ip6tables"}
IP = {4: "ip", 6: "ip6"}
BOTH = pytest.mark.parametrize("family", [4, 6])
_BPF, _PROG_LOAD, _LINK_CREATE = 321, 5, 28
_TYPE, _ATTACH, _FORWARD, _FAMILIES = 32, 45, 2, {4: 2, 6: 10}
# r0 = 0 (drop); exit
_DROP = bytes.fromhex("b7000000000000009500000000000000")
_NOT_HERE = (errno.EPERM, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


@pytest.fixture
def lab():
    """Two containers behind a node that masquerades."""
    with Lab(load(find("bridge-walkthrough"))) as built:
        for program in TABLES.values():
            built.host("node").run([program, "-t", "nat", "-A", "POSTROUTING", "-o", "ens33", "-j", "MASQUERADE"])
        yield built


def _bpf(command: int, attributes: bytes) -> int:
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    found = ctypes.CDLL(None, use_errno=True).syscall(_BPF, command, buffer, len(attributes))
    if found < 0:
        raise OSError(ctypes.get_errno(), "bpf")
    return found


def _dropper(family: int) -> int:
    """A descriptor, as long as which a program of eBPF drops what is forwarded."""
    program, licence = ctypes.create_string_buffer(_DROP), ctypes.create_string_buffer(b"GPL")
    addresses = ctypes.addressof(program), ctypes.addressof(licence)
    head = struct.pack("=IIQQIIQII16sII", _TYPE, len(_DROP) // 8, *addresses, 0, 0, 0, 0, 0, b"drops", 0, _ATTACH)
    loaded = _bpf(_PROG_LOAD, head)
    try:
        return _bpf(_LINK_CREATE, struct.pack("=IIIIIIiI", loaded, 0, _ATTACH, 0, _FAMILIES[family], _FORWARD, 1, 0))
    finally:
        os.close(loaded)


@BOTH
@pytest.mark.parametrize("probe", ["ping", "udp"])
def test_a_drop_by_no_rule_is_reported(lab, probe, family):
    """A program of eBPF in netfilter drops a packet: no rule is blamed, and the kernel's reason is shown."""
    ns01, arguments = lab.sandbox("ns01"), (ROUTER[family],) if probe == "ping" else (ROUTER[family], 4711)
    assert getattr(ns01, probe)(*arguments)
    try:
        descriptor = lab.host("node").namespace.run(lambda: _dropper(family))
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
        pytest.skip(f"no program of eBPF can be put into netfilter here: {error}")
    try:
        reach = getattr(ns01, probe)(*arguments)

        assert reach.cause and (reach.cause.id, reach.cause.place) == ("firewall.unseen", "node"), reach.explanation
        assert reach.dropped_by == "netfilter"
        assert reach.cause.evidence == ("the kernel freed it for NETFILTER_DROP in nf_hook_slow",)
    finally:
        os.close(descriptor)
    assert getattr(ns01, probe)(*arguments)


@BOTH
@pytest.mark.parametrize("program", ["iptables", "nft"])
def test_a_range_of_ports_that_is_used_up_is_reported(lab, program, family):
    """Who masquerades to one port serves one client at a time; the table of connections is not full."""
    node, ns01, to = lab.host("node"), lab.sandbox("ns01"), ROUTER[family]
    table = f"{IP[family]} own"
    if program == "nft":
        chain = "type nat hook postrouting priority 90; meta l4proto udp masquerade to :1000-1001;"
        node.run(["nft", f"table {table} {{ chain c {{ {chain} }}; }}"])
        remedy = f"nft insert rule {table} c oifname ens33 masquerade"
    else:
        own = TABLES[family]
        node.run([own, "-t", "nat", "-I", "POSTROUTING", "-p", "udp", "-j", "MASQUERADE", "--to-ports", "1000-1001"])
        remedy = f"{own} -t nat -I POSTROUTING -o ens33 -j MASQUERADE"
    assert ns01.udp(to, 4711)
    assert ns01.udp(to, 4711)

    reach = ns01.udp(to, 4711)

    assert reach.cause and (reach.cause.id, reach.cause.place) == ("nat.ports-used-up", "node"), reach.explanation
    assert (reach.dropped_by, reach.cause.hook, reach.cause.remedy) == ("no port left", "POSTROUTING", remedy)
    node.run(["sh", "-ec", reach.cause.remedy])
    assert ns01.udp(to, 4711)
