"""Networks with addresses of a LAN, as confs, and sandboxes whose IPv6 addresses are usable at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnitest.suites.plugins.node_networks import caller

from cnitest import Attachment, Host, PluginError, Runtime, Sandbox


def static(*addresses: str, **keys: Any) -> dict[str, Any]:
    """An IPAM section that gives these addresses (each with its prefix), and what else it says."""
    return {"type": "static", "addresses": [{"address": address} for address in addresses], **keys}


def macvlan(*addresses: str, master: str = "ens33", name: str = "lan", **keys: Any) -> dict[str, Any]:
    """A macvlan network that gives these addresses; without any it has no IPAM."""
    conf: dict[str, Any] = {"cniVersion": "1.0.0", "name": name, "type": "macvlan", "master": master, **keys}
    return {**conf, "ipam": static(*addresses)} if addresses else conf


def ready_sandbox(host: Host, name: str) -> Sandbox:
    """A fresh sandbox that checks no IPv6 address for duplicates: those that plugins give are usable at once."""
    sandbox = host.sandbox(name)
    sandbox.sysctl("net.ipv6.conf.default.accept_dad", 0)
    return sandbox


def chained(first: dict[str, Any], *further: dict[str, Any]) -> dict[str, Any]:
    """A network of several plugins, with the name and the version of the first."""
    own = {key: value for key, value in first.items() if key not in ("cniVersion", "name")}
    return {"cniVersion": first["cniVersion"], "name": first["name"], "plugins": [own, *further]}


def leases(host: Host, network: str) -> list[str]:
    """The addresses of a network that host-local keeps for somebody."""
    directory = f"/var/lib/cni/networks/{network}/"
    names = [file.path.removeprefix(directory) for file in host.files() if file.path.startswith(directory)]
    return sorted(name for name in names if name[0].isdigit() or ":" in name)


def rejected(cni: Runtime, sandbox: Sandbox, network: dict[str, Any], *names: str, **keys: Any) -> str:
    """What the plugin says when it rejects an ADD; an error of the test when it does not.

    No DEL comes after it, so that what the failed ADD has left is still there to be seen.
    """
    whole = cni.mode
    cni.mode = replace(whole, deletes_after_failed_add=False)
    try:
        cni.add(sandbox, network, *names, **keys)
    except PluginError as error:
        return str(error)
    finally:
        cni.mode = whole
    raise AssertionError(f"ADD of {network['name']} was not rejected")


def distrusted(cni: Runtime, attachment: Attachment) -> str:
    """What CHECK says of an attachment that is not as it was added; an error of the test when it finds nothing."""
    try:
        cni.check(attachment)
    except PluginError as error:
        return str(error)
    raise AssertionError("CHECK noticed nothing")


def delete_without_namespace(cni: Runtime, attachment: Attachment) -> None:
    """DEL with an empty CNI_NETNS, as a runtime calls it that has lost the container. Raises PluginError."""
    caller(cni).delete(replace(attachment.target, netns=""), attachment.result.document)


def check_alone(cni: Runtime, attachment: Attachment, plugin: str) -> None:
    """CHECK of one plugin of the list, with the list's result. Raises PluginError."""
    target = attachment.target
    own = tuple(each for each in target.network.plugins if each["type"] == plugin)
    caller(cni).check(replace(target, network=replace(target.network, plugins=own)), attachment.result.document)
