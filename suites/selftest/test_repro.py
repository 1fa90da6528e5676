"""The scripts of findings: each is run as a person would, and sees what the report says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cnitest.fixtures import guard
from cnitest.suites.selftest.plugins import script

SEEN, NOT_SEEN, COULD_NOT_RUN = 1, 0, 2
PLUGINS = Path("/usr/lib/cni")
#: By what they find, the tests that do, and the subjects whose scripts are run.
KINDS = {
    "a wrong answer": ("PROTO-10-bridge", "test_errors_name_the_invalid_variable"),
    "a rejection that is not": ("CHK-17-host-local", "test_an_address_of_somebody_else_is_noticed"),
    "a rule after its container": ("DEL-05-bridge", "test_del_after_the_namespace_went"),
    "a link after a failed delegate": ("ADDF-a-bridge", "test_a_missing_delegate_leaves_nothing"),
    "a delegate left alone": ("DLG-06-bridge", "test_a_failed_delegate_is_called_off"),
    "a lost part of the result": ("PREV-02-bridge", "test_an_interface_plugin_keeps_the_result"),
    "a blind CHECK": ("CHK-10-bridge", "test_a_missing_reservation_is_noticed"),
    "a blind CHECK of addresses": ("CHK-10-host-local", "test_a_missing_reservation_is_noticed"),
    "a disturbed neighbour": ("DEL-14-bridge", "test_del_leaves_others_alone"),
    "a bare environment": ("PROTO-33-bridge", "test_a_bare_environment_is_enough_to_delete"),
    "a packet without an answer": ("ADD-18-bridge", "test_the_path_works_at_once"),
    "an untrue result": ("ADD-08-liar", "test_the_result_is_true"),
    "a hidden source": ("DEL-14-liar", "test_sources_of_others_are_seen"),
    "a port of others": ("DEL-14-liar", "test_ports_of_others_are_reached"),
    "a crash": ("PROTO-13-careless", "test_undecodable_input_is_rejected"),
    "noise": ("DEL-13-careless", "test_del_prints_nothing"),
}
CARELESS = f"""\
stdin=$(cat)
case $stdin in "{{"?*|"") ;; *) echo "panic: runtime error: no object" >&2; exit 2 ;; esac
printf %s "$stdin" | {PLUGINS}/host-local || exit 1
[ $CNI_COMMAND != DEL ] || echo "all done"
"""
LIAR = f"""\
[ $CNI_COMMAND = ADD ] || exec {PLUGINS}/bridge
iptables -w -t nat -A POSTROUTING -o ens33 -j MASQUERADE
iptables -w -t nat -A PREROUTING -p udp --dport 20081 -j REDIRECT --to-ports 53
{PLUGINS}/bridge | sed 's|10.91.0.2/24|10.91.0.222/24|'
"""
CONFS = {
    "careless": {"ipam": {"type": "careless", "subnet": "10.90.0.0/24"}},
    "liar": {
        "bridge": "cni1",
        "capabilities": {"portMappings": True},
        "ipam": {"type": "static", "addresses": [{"address": "10.91.0.2/24"}]},
    },
}
ODD = """\
case $CNI_COMMAND in
  VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}' ;;
  ADD) echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.1.2.3/24"}]}' ;;
  *) ENDING ;;
esac
"""
ODD_CONF = {"cniVersion": "1.0.0", "name": "n", "type": "odd", "ipam": {"type": "odd"}}
pytestmark = pytest.mark.requires(plugin=["bridge", "host-local", "static"])


@pytest.fixture(scope="module")
def open_place() -> Iterator[Path]:
    """A directory that everybody may read, which pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="repro-") as place:
        os.chmod(place, 0o755)
        yield Path(place)


@pytest.fixture(scope="module")
def findings(open_place) -> Path:
    """The scripts of a run of the conformance suite over plugins that are known to deviate."""
    place = open_place
    script(place / "bin", "careless", CARELESS)
    script(place / "bin", "liar", LIAR)
    for name, conf in CONFS.items():
        document = {"cniVersion": "1.0.0", "name": name, "type": name, **conf}
        (place / f"{name}.conf").write_text(json.dumps(document))
    options = ["--cni-plugin=bridge", "--cni-plugin=host-local", *(f"--cni-conf={place}/{name}.conf" for name in CONFS)]
    options += [f"--cni-path={place}/bin:{PLUGINS}", "--cni-version=1.0.0", f"--cni-repro={place}/scripts"]
    wanted = " or ".join(f"({test} and {name.split('-', 2)[2]}-1.0.0)" for name, test in KINDS.values())
    command = [sys.executable, "-m", "pytest", "--pyargs", "cnitest.suites.conformance", "-v", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *options, "-k", wanted], capture_output=True, text=True, check=False, cwd=place)
    assert done.returncode == 1, done.stdout + done.stderr
    return place / "scripts"


def run(path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a script with bash, as the report says to."""
    surroundings = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment}
    return subprocess.run(
        ["/bin/bash", path], capture_output=True, text=True, check=False, env=surroundings, timeout=30, errors="replace"
    )


NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "unshare", "-Urnm")


def run_as_nobody(path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as an ordinary user does, with that one's PATH."""
    return subprocess.run(
        [*NOBODY, "/bin/bash", path], capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"},
        timeout=60, errors="replace",
    )  # fmt: skip


def may_be_nobody() -> bool:
    """Whether an ordinary user can make namespaces here."""
    return shutil.which("setpriv") is not None and subprocess.run([*NOBODY, "true"], check=False).returncode == 0


def of(findings: Path, kind: str) -> Path:
    """The first script of a kind."""
    subject, test = KINDS[kind]
    found = sorted(findings.glob(f"{subject}-1.0.0-{test}*.sh"))
    assert found, f"no finding of {kind} ({KINDS[kind]}) among {sorted(path.name for path in findings.iterdir())}"
    return found[0]


def test_scripts_see_what_the_report_says_and_leave_nothing(findings):
    """One of each kind exits with 1, and the machine is the same afterwards."""
    before = guard.snapshot()

    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(KINDS, pool.map(lambda kind: run(of(findings, kind)), KINDS), strict=True))

    wrong = {
        kind: f"{end.returncode}\n{end.stdout}{end.stderr}" for kind, end in done.items() if end.returncode != SEEN
    }
    assert not wrong, "\n\n".join(f"{kind}: exit code {text}" for kind, text in wrong.items())
    assert not guard.changes(before, guard.snapshot())
    assert len(done) >= 10


@pytest.mark.skipif(os.geteuid() != 0 or not may_be_nobody(), reason="nobody can make no namespaces here")
def test_scripts_work_for_an_ordinary_user(findings):
    """Below ``unshare -Urnm``, where the real root's directories are not theirs, and with a PATH without sbin."""
    with ThreadPoolExecutor(2) as pool:
        done = dict(zip(KINDS, pool.map(lambda kind: run_as_nobody(of(findings, kind)), KINDS), strict=True))

    wrong = {
        kind: f"{end.returncode}\n{end.stdout}{end.stderr}" for kind, end in done.items() if end.returncode != SEEN
    }
    assert not wrong, "\n\n".join(f"{kind}: exit code {text}" for kind, text in wrong.items())


@pytest.mark.parametrize("ending", ["exit 255", "exit 128", "exit 137", "exit 130", "kill -9 $$", "kill -11 $$"])
def test_an_exit_code_is_distinguished_from_none(tmp_path, ending):
    """A plugin's own code of 128 and more is seen again as what it is, and so is a signal; another code is not."""
    script(tmp_path / "bin", "odd", ODD.replace("ENDING", ending))
    (tmp_path / "odd.conf").write_text(json.dumps(ODD_CONF))
    command = [sys.executable, "-m", "cnitest.cli", "run", "odd.conf", "--cni-path", "bin", "--repro", "scripts"]
    wanted = "test_del_does_not_mind_arguments or test_del_can_be_repeated"
    subprocess.run([*command, "-n", "1", "-k", wanted], cwd=tmp_path, check=False)
    scripts = sorted((tmp_path / "scripts").glob("DEL-*.sh"))

    seen = [run(path) for path in scripts]
    script(tmp_path / "bin", "odd", ODD.replace("ENDING", "exit 3"))
    other = [run(path) for path in scripts]

    assert scripts
    assert [end.returncode for end in seen] == [SEEN] * len(scripts), seen[0].stdout
    assert SEEN not in [end.returncode for end in other], other[0].stdout


def test_a_script_tells_what_it_is_about(findings):
    """Its head has requirement, section, sentence and details; its output every call and the verdict."""
    path = of(findings, "a wrong answer")

    text, output = path.read_text(), run(path).stdout

    for words in (
        "# PROTO-10 (MUST, SPEC section 5), bridge in version 1.0.0:",
        "# The report says:",
        "# Run as root: ",
    ):
        assert words in text
    assert "[1] CNI_COMMAND=ADD CNI_CONTAINERID=a/b" in output
    assert "exit code: 1" in output
    assert output.endswith("Seen: it is as the report says.\n")
    assert path.stat().st_mode & 0o111


@pytest.mark.parametrize(
    ("kind", "plugin", "body"),
    [
        (
            "a wrong answer",
            "bridge",
            """echo '{"cniVersion": "1.0.0", "code": 4, "msg": "CNI_CONTAINERID is no identifier"}'; exit 1""",
        ),
        (
            "a link after a failed delegate",
            "bridge",
            """echo '{"cniVersion": "1.0.0", "code": 100, "msg": "there is no such plugin"}'; exit 1""",
        ),
        ("an untrue result", "liar", f"exec {PLUGINS}/bridge"),
        (
            "a packet without an answer",
            "bridge",
            f"""{PLUGINS}/bridge || exit
while [ "$CNI_COMMAND" = ADD ] && ip -6 address show dev cni0 tentative | grep -q inet6; do sleep 0.1; done""",
        ),
        (
            "a rejection that is not",
            "host-local",
            f"""stdin=$(cat); case $CNI_COMMAND$stdin in CHECK*10.42.0.79*|CHECK*2001:db8:42::4e*) exit 1 ;; esac
printf %s "$stdin" | exec {PLUGINS}/host-local""",
        ),
    ],
)
def test_a_script_does_not_see_it_of_a_plugin_that_behaves(findings, tmp_path, kind, plugin, body):
    """With another plugin of that name in CNI_PATH it exits with 0."""
    script(tmp_path / "bin", plugin, body)

    done = run(of(findings, kind), CNI_PATH=f"{tmp_path}/bin:{PLUGINS}")

    assert done.returncode == NOT_SEEN, done.stdout + done.stderr
    assert "Not seen" in done.stdout


def test_what_is_so_for_a_moment_is_seen_however_slow_the_machine_is(findings, tmp_path):
    """A packet that has to be answered at once is sent when the call ends: what takes time after it changes nothing."""
    text = of(findings, "a packet without an answer").read_text()
    slow = tmp_path / "slow.sh"
    slow.write_text(text.replace("\nshow() {", "\nshow() {\n  sleep 4  # longer than IPv6 addresses are tentative\n"))

    done = run(slow)

    assert "  sleep 4" in slow.read_text()
    assert done.returncode == SEEN, done.stdout + done.stderr


def test_a_script_says_why_it_could_not_run(findings, tmp_path):
    """Without the plugin it exits with 2."""
    done = run(of(findings, "a blind CHECK"), CNI_PATH=str(tmp_path))

    assert done.returncode == COULD_NOT_RUN
    assert f"there is no plugin bridge in {tmp_path}" in done.stderr
