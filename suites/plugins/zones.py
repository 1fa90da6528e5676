"""firewalld on a host of a lab: the real daemon, with a bus and a configuration that are the host's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from cnitest import Host

_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""
_SETTINGS = "DefaultZone=public\nFirewallBackend=nftables\nCleanupOnExit=yes\nIPv6_rpfilter=no\nLogDenied=off\n"
_NAME, _PATH = "org.fedoraproject.FirewallD1", "/org/fedoraproject/FirewallD1"
_START = 60.0


def _ask(host: Host, method: str, *arguments: str) -> str:
    """What firewalld answers; empty while there is none."""
    words = ["dbus-send", "--system", "--print-reply", f"--dest={_NAME}", _PATH, method, *arguments]
    return host.run(words, check=False).stdout


def _running(host: Host) -> bool:
    words = (f"string:{_NAME}", "string:state")
    return "RUNNING" in _ask(host, "org.freedesktop.DBus.Properties.Get", *words)


def sources(host: Host, zone: str = "trusted") -> set[str]:
    """The addresses that are sources of a zone."""
    return {source.partition("/")[0] for source in _sources(host, zone)}


def _sources(host: Host, zone: str) -> list[str]:
    return re.findall(r'string "([^"]+)"', _ask(host, f"{_NAME}.zone.getSources", f"string:{zone}"))


def remove_source(host: Host, zone: str, address: str) -> None:
    """Take an address out of a zone, as an administrator does."""
    for source in _sources(host, zone):
        if source.partition("/")[0] == address:
            _ask(host, f"{_NAME}.zone.removeSource", f"string:{zone}", f"string:{source}")


def reload(host: Host) -> None:
    """Make firewalld read its configuration again: what was only added while it ran is gone."""
    _ask(host, f"{_NAME}.reload")


@contextmanager
def firewalld(host: Host) -> Iterator[None]:
    """firewalld runs on the host while the block does; links and sources that no zone names are in ``public``."""
    host.run(["mkdir", "-p", "/run/dbus", "/run/zones"])
    for file, text in (("/run/bus.conf", _BUS), ("/run/zones/firewalld.conf", _SETTINGS)):
        host.run(["tee", file], stdin=text)
    bus = ["dbus-daemon", "--nofork", "--nopidfile", "--config-file=/run/bus.conf"]
    daemon = ["firewalld", "--nofork", "--nopid", "--system-config=/run/zones", "--log-file=/run/firewalld.log"]
    with (
        host.start(bus, ready="/run/dbus/system_bus_socket"),
        host.start(daemon, ready=lambda: _running(host), timeout=_START),
    ):
        yield
