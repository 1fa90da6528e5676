"""A network that cannot start because of a plugin that is a script: what it wrote, what it lacks, its own version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cnitest.suites.selftest.ordinary import ROOT_ALONE
from cnitest.suites.selftest.test_unstarted import timed

SCRIPT = "#!/bin/bash\nexec &>> {}\necho began; no-such-program; ip link set lo master cni7; exit 3\n"


def tried(tmp_path: Path, script: str, *options: str, conf: dict[str, Any] | None = None) -> tuple[int, str]:
    """The exit code of ``cnitest run`` of a list of one plugin, which is a script, and what it printed."""
    (tmp_path / "mine").write_text(script)
    (tmp_path / "mine").chmod(0o755)
    (tmp_path / "my.conflist").write_text(
        json.dumps({"cniVersion": "0.4.0", "name": "mynet", "plugins": [{"type": "mine", **(conf or {})}]})
    )
    done, _ = timed(tmp_path, "run", "my.conflist", "--cni-path", str(tmp_path), "-n", "0", *options)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_a_configuration_as_go_prints_it_is_no_previous_result(tmp_path: Path) -> None:
    """Of a plugin that repeats its configuration as Go prints it, and a link in the container that is not there, the
    link is named."""
    message = (
        "failed (&{NetConf:{Name:n RawPrevResult:map[] PrevResult:<nil>}}): link (net1) exists, error: Link not found"
    )
    conf = {"linksInContainer": True, "links": [{"name": "net1"}]}
    error = json.dumps({"cniVersion": "0.4.0", "code": 999, "msg": message})

    _, text = tried(tmp_path, f"#!/bin/sh\n[ $CNI_COMMAND = ADD ] && echo '{error}'; exit 1\n", conf=conf)

    assert "a link of the configuration is 'net1', and the container has no such link; there are none but lo." in text
    assert "make it with container_setup in a profile" in text
    assert "works on an interface that a plugin before it made" not in text


def test_of_much_on_stderr_the_end_is_told_too(tmp_path: Path) -> None:
    """A plugin that logs what it does says last why it ended, and first what it was about."""
    logging = "echo first words >&2; for i in $(seq 300); do echo debug $i >&2; done; echo error: the last words >&2"

    _, text = tried(tmp_path, f"#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 1\n{logging}\nexit 1\n")

    assert "stderr first words debug 1 debug 2" in text
    assert "debug 300 error: the last words" in text
    assert "debug 150 " not in text


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("Pod Namespace not specified in CNI Args", 'args: {IgnoreUnknown: "1", K8S_POD_NAMESPACE: default, K8S_POD'),
        ("required K8S_POD_NAME is missing", "it wants the names of a pod, which Kubernetes' runtimes hand over"),
        ("dial unix var/run/eni/eni.socket: connect: no such file", "daemon], socket: /var/run/eni/eni.socket}'"),
    ],
    ids=["pod", "variable", "socket"],
)
def test_what_a_plugin_of_a_cluster_wants_is_told(tmp_path: Path, message: str, advice: str) -> None:
    """The names of a pod, and a daemon's socket, which is absolute however the plugin writes it."""
    error = json.dumps({"cniVersion": "0.4.0", "code": 100, "msg": message})

    _, text = tried(tmp_path, f"#!/bin/sh\n[ $CNI_COMMAND = ADD ] && echo '{error}'; exit 1\n")

    assert advice in text


@pytest.mark.requires(binary="ip")
@pytest.mark.parametrize("log", ["/run/mine.log", pytest.param("/var/log/mine", marks=ROOT_ALONE)])
def test_what_a_plugin_wrote_into_its_log_is_told(tmp_path: Path, log: str) -> None:
    """Of one that prints nothing the end of its log file, the program and the link that it lacks by that."""
    code, text = tried(tmp_path, SCRIPT.format(log))

    assert code == 1
    assert f"it printed nothing at all log {log}: began" in text
    assert "mine starts 'no-such-program', which is not on this machine" in text
    assert "a link that the plugin asks ip(8) for is 'cni7', and the host has no such link" in text


def test_a_list_is_tried_in_its_own_version_where_nothing_is_advertised(tmp_path: Path) -> None:
    """A plugin that answers VERSION with nothing is tried in the list's version, and what else is asked for is told."""
    _, started = tried(tmp_path, "#!/bin/sh\necho broken >&2; exit 1\n")
    code, asked = tried(tmp_path, "#!/bin/sh\necho broken >&2; exit 1\n", "--cni-version", "1.0.0")

    assert "Its first ADD fails: mine in version 0.4.0" in started
    assert code == 4
    assert (
        "mine answers VERSION with no versions, and so is tried in its configuration's alone, 0.4.0; 1.0.0 asked for"
        in asked
    )


def test_an_ipam_plugin_that_lacks_the_version_is_named(tmp_path: Path) -> None:
    """The plugin that calls it speaks the version, and is not said to lack it."""
    error = (
        '{"cniVersion": "0.4.0", "code": 1, "msg": "incompatible CNI versions", "details": "supports [\\"0.3.0\\"]"}'
    )
    answers = '{"cniVersion": "0.4.0", "supportedVersions": ["0.4.0"]}'
    script = f"#!/bin/sh\n[ $CNI_COMMAND = VERSION ] && echo '{answers}' && exit\necho '{error}'; exit 1\n"

    code, text = tried(tmp_path, script, conf={"ipam": {"type": "pool"}})

    assert code == 1
    assert "pool, which mine calls for addresses, does not speak version 0.4.0: write one that both speak" in text
    assert "mine does not speak" not in text
