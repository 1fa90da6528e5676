"""In containers: with which rights the walkthrough passes, and what doctor says where one of them is missing.

Each container is made here as its runtime makes it: namespaces, exactly its capabilities, its filter of system calls,
what it masks and has read-only (`containers`).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cnitest.fixtures import faulty
from cnitest.suites.selftest.containers.rows import FORBIDDEN, LIMITS, LINES, PODMAN, READY, SUB_UIDS
from cnitest.suites.selftest.containers.run import cnitest, run, why_not
from cnitest.suites.selftest.containers.spec import DOCKER, PRIVILEGED, Container
from cnitest.suites.selftest.test_pipeline import author

#: Real plugins, called, and probed through.
WALK = ("run", "--suite", "walkthrough", "-k", "given_network")


@pytest.fixture(autouse=True)
def _possible():
    """Skips where no container can be imitated."""
    if why_not():
        pytest.skip(why_not())


@pytest.mark.parametrize("container", READY.values(), ids=READY)
def test_the_walkthrough_passes(container):
    """Where doctor says that all is ready, real plugins attach containers, and their packets arrive."""
    doctor = cnitest(container, "doctor", TMPDIR="/run" if container.tmpfs else "/tmp")
    walk = cnitest(container, *WALK, TMPDIR="/run" if container.tmpfs else "/tmp")

    assert doctor.returncode == 0, doctor.stdout + doctor.stderr
    assert doctor.stdout.endswith("Ready.\n")
    assert walk.returncode == 0, walk.stdout + walk.stderr
    assert "6 passed" in walk.stdout


def test_the_whole_walkthrough_passes_with_capabilities_alone():
    """In a container that is not privileged, with everything that the walkthrough has, none skipped."""
    walk = cnitest(READY["docker with capabilities"], "run", "--suite", "walkthrough", "-n", "2")

    assert walk.returncode == 0, walk.stdout + walk.stderr
    assert "skipped" not in walk.stdout
    assert "45 passed" in walk.stdout


def _masked(container):
    """The first two places in /proc that a container finds masked, as kernels have them."""
    places = run(container, "awk", "$5 ~ /^.proc./ {print $5}", "/proc/self/mountinfo")
    return ", ".join(places.stdout.split()[:2])


@pytest.mark.parametrize(("container", "name", "line"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_where_labs_are_forbidden_one_line_says_what_allows_them(container, name, line):
    """Doctor and a run say the same; the run ends with 4, having begun nothing."""
    wanted = line.replace("{masked}", _masked(container)) if "{masked}" in line else line

    doctor, walk = cnitest(container, "doctor"), cnitest(container, *WALK)

    assert doctor.returncode == 1
    assert f" {name:19} missing  {wanted}\n" in doctor.stdout
    assert (walk.returncode, walk.stdout, walk.stderr) == (4, "", f"cnitest: {wanted}\n")


def test_a_user_whom_the_user_namespace_does_not_know():
    """One that was entered without a map makes no other."""
    unmapped = ("unshare", "--user", "python", "-m", "cnitest.cli", "explain", "node-with-uplink", "node", "8.8.8.8")

    done = run(PRIVILEGED._replace(user=1000), *unmapped)

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        "cnitest: a user namespace cannot be used (Operation not permitted): user 65534 is none of the user namespace "
        "that it is in (/proc/self/uid_map); enter that with a map: unshare --map-root-user, podman unshare\n"
    )


@pytest.mark.parametrize(("container", "line"), LINES.values(), ids=LINES)
def test_doctor_says_what_is_missing_and_what_to_do(container, line):
    """Each found by trying; the exit code is 1."""
    done = cnitest(container, "doctor")

    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{line}\n" in done.stdout


@pytest.mark.parametrize(("container", "line"), LIMITS.values(), ids=LIMITS)
def test_doctor_says_what_is_limited(container, line):
    """What labs can do without is reported as absent, with what gives it; all is ready."""
    done = cnitest(container, "doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{line}\n" in done.stdout


class TestPipeline:
    """The script that the pipelines of ``cnitest new ci`` call."""

    SETTINGS = {  # noqa: RUF012
        "CNITEST_PATH": f"{faulty.HONEST}:/usr/lib/cni",
        "CNITEST_CONFORMANCE_ARGS": "-k 'ADD-08 or ADD-01' --cni-version 1.1.0 -n 0",
    }

    @pytest.fixture
    def script(self, tmp_path, monkeypatch):
        """Runs stages in a container, in the directory of an author who has typed the command."""
        place = author(tmp_path, "sh", monkeypatch).place

        def stages(container, words):
            return run(container, "sh", "-c", f"cd {place} && exec sh cnitest-ci.sh {words}", **self.SETTINGS)

        return stages

    @pytest.mark.parametrize("name", ["docker with capabilities", "privileged"])
    def test_it_passes_where_doctor_is_content(self, script, name):
        """From the build to the plugin's verdicts."""
        done = script(READY[name], "build check conformance")

        assert done.returncode == 0, done.stdout + done.stderr
        assert "Ready.\n" in done.stdout
        assert "== cnitest-ci: conformance\n" in done.stdout

    def test_it_ends_with_doctors_line_where_labs_are_forbidden(self, script):
        """At the stage that looks at the machine; nothing is tried after it."""
        container, name, line = FORBIDDEN["docker"]

        done = script(container, "build check conformance")

        assert done.returncode == 1
        assert f" {name:19} missing  {line}\n" in done.stdout
        assert "== cnitest-ci: conformance" not in done.stdout
        assert done.stderr.endswith("cnitest-ci: failed: check\n")


class TestImitation:
    """The containers are what they claim to be."""

    def test_the_default_capabilities_are_dockers(self):
        """The mask that a Docker container shows, and a filter."""
        done = run(Container(), "grep", "-E", "^(Cap(Eff|Bnd)|Seccomp):", "/proc/self/status")

        assert done.stdout.split() == ["CapEff:", "00000000a80425fb", "CapBnd:", "00000000a80425fb", "Seccomp:", "2"]

    @pytest.mark.parametrize(
        ("container", "command", "words"),
        [
            (Container(), "unshare --net true", "unshare failed: Operation not permitted"),
            (Container(), "unshare --user true", "unshare failed: Operation not permitted"),
            (Container(capabilities=(*DOCKER, "SYS_ADMIN")), "echo 1 > /proc/sys/net/ipv4/ip_forward", "Read-only"),
            (Container(capabilities=(*DOCKER, "SYS_ADMIN")), "echo > /sys/kernel/profiling", "Read-only"),
            (Container(capabilities=(*DOCKER, "SYS_ADMIN")), "ip link add x type veth", "Operation not permitted"),
            (Container(capabilities=PODMAN, seccomp="podman", maps=SUB_UIDS), "mount -t tmpfs x /mnt", "denied"),
        ],
    )
    def test_what_is_kept_from_them_fails(self, container, command, words):
        """As it does there."""
        done = run(container, "sh", "-c", command)

        assert done.returncode != 0
        assert words in done.stderr

    def test_nothing_stays_of_them(self):
        """Neither mounts nor directories of the machine."""
        mounts = Path("/proc/self/mountinfo").read_text()

        done = run(
            PRIVILEGED, "sh", "-c", "touch /etc/of-a-container && mount -t tmpfs x /mnt && ip link add x0 type veth"
        )

        assert done.returncode == 0, done.stderr
        assert Path("/proc/self/mountinfo").read_text() == mounts
        assert run(PRIVILEGED, "ls", "/etc/of-a-container").returncode != 0
