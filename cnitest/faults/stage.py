"""Where one trial of fault injection plays: a fresh host with two containers, and a runtime whose calls can be hit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from cnitest.cni.attachment import Attachment
from cnitest.cni.calls.invoke import HostExec
from cnitest.cni.conf import Network
from cnitest.cni.result import Result
from cnitest.cni.runtime import Runtime
from cnitest.conformance.bench import request
from cnitest.conformance.bench.leftovers import Leftover, leftovers, settle
from cnitest.conformance.discover import failed_add, start_endings
from cnitest.conformance.discover.preflight import Caller
from cnitest.conformance.host.set_up import Silent, open_lab, set_up
from cnitest.conformance.model.subject import Setting
from cnitest.errors import DeadlineExceeded, PluginError
from cnitest.injection.aim import Aim, AimedExec
from cnitest.injection.calls import without_chance
from cnitest.kernel.processes.process import Finished
from cnitest.lab.hosts import Host
from cnitest.lab.lab import Lab
from cnitest.lab.snapshot.state import State

_CONTAINERS = ("c1", "c2")
_MOST_CAUSES = 3
_CACHE = "/var/lib/cni/results"


class _Gun:
    """Calls plugins on a host: as always, or under an aim."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.aim: Aim | None = None

    def find(self, plugin: str, path: Sequence[str]) -> str:
        return HostExec(self.host).find(plugin, path)

    def run(self, binary: str, environment: Mapping[str, str], stdin: bytes, timeout: float) -> Finished:
        if self.aim is None:
            return HostExec(self.host).run(binary, environment, stdin, timeout)
        return AimedExec(self.host, self.aim).run(binary, environment, stdin, timeout)


class TrialHost:
    """A host with containers ``c1`` and ``c2``, not attached yet. Use `open_stage`."""

    def __init__(self, lab: Lab, network: Network, path: Sequence[str], timeout: float, setting: Setting) -> None:
        self._setting = setting
        self._networks = {name: _network_of(network, name, setting.ifname) for name in _CONTAINERS}
        self._host = lab.host(setting.host)
        self._gun = _Gun(self._host)
        self._places = [self._host, *(self._host.sandbox(name) for name in _CONTAINERS)]
        self.runtime = Runtime(lab, path, timeout=timeout, executor=lambda _: self._gun, delete_after_failed_add=False)
        self._start = self._look()

    def add(self, name: str = "c1", aim: Aim | None = None) -> str:
        """ADD of a container; why it failed, or nothing."""
        given, sandbox = self._setting, self._host.sandbox(name)

        def add() -> None:
            self.runtime.add(
                sandbox, self._networks[name], given.ifname, args=given.args, capabilities=given.capabilities
            )

        return self._try(add, aim)

    def delete(self, name: str = "c1", aim: Aim | None = None) -> str:
        """DEL of a container, added or not; why it failed, or nothing."""
        given, network = self._setting, self._networks[name]
        blank = Result(network.cni_version, (), (), (), {}, {})
        known = {"args": given.args, "capabilities": given.capabilities}
        attachment = Attachment(network, self._host.sandbox(name), name, given.ifname, blank, **known)
        return self._try(lambda: self.runtime.delete(attachment), aim)

    def leftovers(self) -> list[str]:
        """What differs from the beginning and may not, in words that two hosts can be compared by; our runtime's own
        cache does not count."""
        found = settle(lambda: leftovers(self._start, self._look()))
        return sorted({without_chance(_words(left)) for left in found if not _is_cached(left)})

    def likely(self) -> list[str]:
        """The likely causes for which the last ADD failed."""
        failure = failed_add.last(self._host.lab.journal, Caller.PROFILE)
        return start_endings.causes(failure)[:_MOST_CAUSES] if failure else []

    def hangs(self) -> bool:
        """Whether the last call of a plugin was killed at its deadline."""
        return bool(self.runtime.calls) and self.runtime.calls[-1].timed_out

    def _try(self, function: Callable[[], object], aim: Aim | None) -> str:
        self._gun.aim = aim
        try:
            function()
        except (PluginError, DeadlineExceeded) as error:
            return without_chance(" ".join(str(error).split()))
        finally:
            self._gun.aim = None
        return ""

    def _look(self) -> Mapping[str, State]:
        return {place.full_name: place.state(firewall=place is self._host) for place in self._places}


def _is_cached(left: Leftover) -> bool:
    return left.difference.table == "files" and left.difference.key.startswith(_CACHE)


def _words(left: Leftover) -> str:
    """A leftover in words; of a new file without its digest and content, which may differ from run to run."""
    item = left.difference
    is_new_file = item.table == "files" and item.appeared and item.after.kind == "file"
    return f"{left.place}: + files {item.key}" if is_new_file else str(left)


def _network_of(network: Network, container: str, ifname: str) -> Network:
    """A network with what its configuration leaves open filled in for a container."""
    plugins = request.substituted(network.plugins, container=container, ifname=ifname)
    return replace(network, plugins=tuple(plugins))


@contextmanager
def open_stage(network: Network, path: Sequence[str], timeout: float, setting: Setting) -> Iterator[TrialHost]:
    """A stage in a fresh lab, set up as a profile says. Raises FeatureMissing, and CnitestError for a plugin that is
    not there."""
    plugin = str(network.plugins[-1].get("type"))
    with open_lab(setting) as lab:
        host = lab.host(setting.host)
        with set_up(host, setting, lambda: HostExec(host).find(plugin, path), Silent(host), network.plugins):
            for name in _CONTAINERS if setting.container_setup else ():
                for argv in setting.container_setup:
                    host.run(request.placed(argv, name, host.sandbox(name).path, setting.ifname))
            yield TrialHost(lab, network, path, timeout, setting)
