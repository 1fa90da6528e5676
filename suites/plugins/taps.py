"""A tap as a virtual machine has it: a network that makes one, and a program that has its other end open."""

from __future__ import annotations

import json
from typing import Any

from cnitest.suites.plugins.lan_networks import static

from cnitest import Place, Sandbox
from cnitest.lab.programs.running import Running

#: The kernel's device, and one that every user of the host may open.
DEVICE, OPEN_DEVICE = "/dev/net/tun", "/mnt/tun"
ADDRESS, FAR = "10.77.0.2", "10.77.0.9"
ADDRESS6, FAR6 = "2001:db8:77::2", "2001:db8:77::9"
MAC = "02:00:5e:00:53:31"

# What a virtual machine does: it has the tap's other end open, answers for an address of each family, and echoes.
PROGRAM = """
import fcntl, os, socket, struct, sys
name, queues, far = sys.argv[1], int(sys.argv[2]), bytes(map(int, sys.argv[3].split(".")))
far6 = socket.inet_pton(socket.AF_INET6, sys.argv[5])
mac, flags = bytes.fromhex("02005e005399"), 0x0002 | 0x1000 | (0x0100 if queues > 1 else 0)
taps = []
for _ in range(queues):
    tap = os.open(sys.argv[4], os.O_RDWR)
    fcntl.ioctl(tap, 0x400454CA, struct.pack("16sH22x", name.encode(), flags))
    taps.append(tap)
print("open", flush=True)
import selectors
ready = selectors.DefaultSelector()
for tap in taps:
    ready.register(tap, selectors.EVENT_READ)
def checksum(data):
    data += b"\\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
def icmp6(to, body):
    sum = checksum(far6 + to + struct.pack("!I3xB", len(body), 58) + body)
    body = body[:2] + struct.pack("!H", sum) + body[4:]
    return struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + far6 + to + body
while True:
    for key, _ in ready.select():
        frame = os.read(key.fd, 65536)
        kind, sender = frame[12:14], frame[6:12]
        if kind == b"\\x08\\x06" and frame[20:22] == b"\\0\\1" and frame[38:42] == far:
            answer = sender + mac + kind + frame[14:20] + b"\\0\\2" + mac + far + frame[22:32]
            os.write(key.fd, answer)
        if kind == b"\\x08\\0" and frame[23] == 1 and frame[30:34] == far and frame[34] == 8:
            icmp = b"\\0\\0\\0\\0" + frame[38:]
            icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
            header = frame[14:26] + frame[30:34] + frame[26:30]
            os.write(key.fd, sender + mac + kind + header + icmp)
        if kind == b"\\x86\\xdd" and frame[20] == 58 and far6 in (frame[38:54], frame[62:78]):
            wanted = b"\\x88\\0\\0\\0\\x60\\0\\0\\0" + far6 + b"\\2\\1" + mac
            body = {135: wanted, 128: b"\\x81\\0\\0\\0" + frame[58:]}.get(frame[54])
            if body:
                os.write(key.fd, sender + mac + kind + icmp6(frame[22:38], body))
"""


def network(*addresses: str, **keys: Any) -> dict[str, Any]:
    """A tap with these addresses; without any it has no IPAM."""
    conf: dict[str, Any] = {"cniVersion": "1.0.0", "name": "taps", "type": "tap", **keys}
    return {**conf, "ipam": static(*addresses)} if addresses else conf


def details(sandbox: Place, link: str = "eth0") -> dict[str, Any]:
    """What ip(8) says of a tap: type, owner, group and flags."""
    (found,) = json.loads(sandbox.run(["ip", "-j", "-d", "link", "show", link]).stdout)
    reported: dict[str, Any] = found["linkinfo"]["info_data"]
    return reported


def as_user(number: int) -> list[str]:
    """The command that has another one run as a user without any privilege."""
    return ["setpriv", f"--reuid={number}", f"--regid={number}", "--clear-groups"]


def opened(sandbox: Sandbox, queues: int = 1, user: int | None = None) -> Running:
    """A program with the tap's other end open, which answers for an address of each family; ``user`` runs it."""
    device = DEVICE if user is None else OPEN_DEVICE
    command = ["python3", "-c", PROGRAM, "eth0", str(queues), FAR, device, FAR6]
    if user is not None:
        command = [*as_user(user), *command]
    return sandbox.start(command, ready="open")
