"""``cnitest doctor``: everything that this machine lacks, at once, found by trying."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from typing import NamedTuple

from cnitest import text
from cnitest.cli.output import Colour, say, say_coloured
from cnitest.cni import plugins
from cnitest.cni.calls.invoke import search_path
from cnitest.errors import CnitestError
from cnitest.kernel import features
from cnitest.kernel.processes import programs
from cnitest.lab.lab import Lab
from cnitest.plugins import files
from cnitest.report import unprivileged
from cnitest.report.options import PLUGIN_PATH, declare_to_command
from cnitest.topology import Host, Topology
from cnitest.vm import needs

_NEEDED_KERNEL = ("veth", "bridge", "macvlan", "br_netfilter", "conntrack")
_PACKAGED = "install containernetworking-plugins"
_FROM_SOURCE = "Debian's package lacks it: build it (script/plugins-release in the source tree does)"
_BINARIES = {
    "iptables": ("iptables", True),
    "ip6tables": ("iptables", True),
    "nft": ("nftables", False),
    "iptables-legacy": ("iptables", False),
    "ip": ("iproute2", True),
    "mount": ("mount", True),
}
#: What each word is coloured like on a terminal.
_COLOURS: dict[str, Colour] = {"ok": "green", "missing": "red", "absent": "yellow"}
_MODULES = {"br_netfilter": "modprobe br_netfilter", "conntrack": "modprobe nf_conntrack"}
_SKIPPED = "tests that need it are skipped"


class Examined(NamedTuple):
    """One thing that was looked for. ``needed`` when labs cannot be built without it."""

    group: str
    name: str
    present: bool
    needed: bool
    detail: str = ""
    remedy: str = ""


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the subcommand's options."""
    parser.add_argument("--json", action="store_true", help="as data")
    declare_to_command(parser, [PLUGIN_PATH])
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; 0 when this machine is ready, 1 when not."""
    unprivileged.enter()  # where it cannot, the findings say why
    findings = examine(search_path(arguments.cni_path))
    healthy = all(finding.present for finding in findings if finding.needed)
    if arguments.json:
        document = {"healthy": healthy, "findings": [finding._asdict() for finding in findings]}
        print(json.dumps(document, indent=2))  # noqa: T201
    else:
        _show(findings, healthy)
    return 0 if healthy else 1


def examine(path: tuple[str, ...]) -> tuple[Examined, ...]:
    """Try everything and report each outcome."""
    return (*_privileges(), *_kernel(), *_binaries(), *_plugins(path), _guests())


def _privileges() -> Iterator[Examined]:
    made = features.privilege()
    yield Examined("privileges", "namespaces", made.present, True, made.why)
    if made.present:
        why = _try_processes()
        yield Examined(
            "privileges",
            "processes in a lab",
            not why,
            True,
            why,
            "in a container: run privileged, or with an unmasked /proc",
        )


def _try_processes() -> str:
    """Why a program cannot be run inside a host; empty when it can."""
    try:
        with Lab(Topology(name="doctor", hosts={"node": Host()})) as lab:
            lab.host("node").run(["true"])
    except (CnitestError, OSError) as error:
        return str(error)
    return ""


def _kernel() -> Iterator[Examined]:
    if not features.privilege().present:
        yield Examined("kernel", "links and the rest", False, True, "cannot be tried without namespaces", "see above")
        return
    for name in features.names():
        found = features.kernel(name)
        yield Examined("kernel", name, found.present, name in _NEEDED_KERNEL, found.why, _MODULES.get(name, _SKIPPED))
    flushes = features.flush_makes_ready()
    yield Examined(
        "kernel",
        "quick readiness",
        flushes,
        False,
        "" if flushes else "before Linux 6.8 links are waited for by events, which is slower",
        "Linux 6.8 or later",
    )


def _binaries() -> Iterator[Examined]:
    for name, (package, needed) in _BINARIES.items():
        where = programs.find(name)
        detail = where or programs.absent(name)
        yield Examined("programs", name, bool(where), needed, detail, f"apt-get install {package}")


def _plugins(path: tuple[str, ...]) -> Iterator[Examined]:
    for plugin in files.every():
        name = plugin.name
        found = plugins.find(name, path)
        yield Examined(
            "plugins",
            name,
            bool(found),
            plugin.main_job,
            found or f"not in {':'.join(path)}",
            f"{_PACKAGED if plugin.packaged else _FROM_SOURCE}, or name its directory with --cni-path",
        )


def _guests() -> Examined:
    """Whether other kernels can be booted here (`cnitest vm`)."""
    lacking = needs.missing()
    return Examined("guests", "other kernels", not lacking, False, "; ".join(lacking) or needs.emulator())


def _show(findings: tuple[Examined, ...], healthy: bool) -> None:
    group = ""
    for finding in findings:
        word = "ok" if finding.present else "missing" if finding.needed else "absent"
        detail = finding.detail if finding.present else "; ".join(filter(None, (finding.detail, finding.remedy)))
        heading = finding.group if finding.group != group else ""
        say_coloured(f"{heading:11} {finding.name:19} ", f"{word:8}", _COLOURS[word], f" {text.line(detail)}".rstrip())
        group = finding.group
    lacking = [finding.name for finding in findings if finding.needed and not finding.present]
    say("Ready." if healthy else f"Not ready; missing: {', '.join(lacking)}")
