"""How a container ends, and how DEL is called then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cnitest.suites.plugins.node_networks import caller, host_end

from cnitest.deadline import Deadline


def _orderly(cni: Any, attachment: Any) -> None:
    cni.delete(attachment)


def _namespace_gone(cni: Any, attachment: Any) -> None:
    host, outside = attachment.sandbox.host, host_end(attachment)
    host.lose(attachment.sandbox.name)
    gone = Deadline.after(10, f"{outside} to go with the namespace that its peer was in")
    gone.poll(lambda: outside not in [link.name for link in host.links])
    cni.delete(attachment)


def _namespace_empty(cni: Any, attachment: Any) -> None:
    caller(cni).delete(replace(attachment.target, netns=""), attachment.result.document)


def _interface_gone(cni: Any, attachment: Any) -> None:
    attachment.sandbox.run(["ip", "link", "del", "eth0"])
    cni.delete(attachment)


def _host_end_gone(cni: Any, attachment: Any) -> None:
    attachment.sandbox.host.run(["ip", "link", "del", host_end(attachment)])
    cni.delete(attachment)


def _result_lost(cni: Any, attachment: Any) -> None:
    caller(cni).delete(attachment.target, None)


def _rebooted(cni: Any, attachment: Any) -> None:
    attachment.sandbox.host.reboot()
    cni.delete(attachment)


#: The ways in which a container with a veth ends; each calls DEL.
ENDS: Mapping[str, Callable[[Any, Any], None]] = {
    "orderly": _orderly,
    "namespace-gone": _namespace_gone,
    "namespace-empty": _namespace_empty,
    "interface-gone": _interface_gone,
    "host-end-gone": _host_end_gone,
    "result-lost": _result_lost,
    "rebooted": _rebooted,
}
