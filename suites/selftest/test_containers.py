"""In containers: with which rights the walkthrough passes, and what doctor says where one of them is missing.

Each container is made here as its runtime makes it: namespaces, exactly its capabilities, its filter of system calls,
what it masks and has read-only (`containers`). docs/ci.md has the same rows as a table.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cnitest.suites.selftest.containers.run import cnitest, run, why_not
from cnitest.suites.selftest.containers.spec import DOCKER, PODMAN, PRIVILEGED, Container

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "never")

ADDED = ("SYS_ADMIN", "NET_ADMIN", "NET_RAW")
SUB_UIDS, ONE_UID = ("0 100000 65536",), ("0 65534 1",)
#: Real plugins, called, and probed through.
WALK = ("run", "--suite", "walkthrough", "-k", "given_network")

READY = {
    "privileged": PRIVILEGED,
    "docker with capabilities": Container(capabilities=(*DOCKER, *ADDED)),
    "docker with capabilities, no seccomp": Container(capabilities=(*DOCKER, *ADDED), seccomp=""),
    "docker with the fewest capabilities": Container(
        capabilities=(*ADDED, "SYS_CHROOT", "DAC_OVERRIDE", "NET_BIND_SERVICE")
    ),
    "docker, ordinary user, nothing confined": Container(seccomp="", unmasked=True, user=1000),
    "podman rootless with capabilities": Container(capabilities=(*PODMAN, *ADDED), seccomp="podman", maps=SUB_UIDS),
    "podman rootless without sub-uids": Container(capabilities=(*PODMAN, *ADDED), seccomp="podman", maps=ONE_UID),
    "kubernetes with capabilities": Container(capabilities=(*DOCKER, *ADDED), seccomp=""),
    "kubernetes runAsNonRoot": Container(
        capabilities=(), seccomp="", unmasked=True, user=1000, no_new_privileges=True, maps=SUB_UIDS
    ),
    "gitlab, docker executor, privileged": PRIVILEGED._replace(layers=2),
    "read-only root with a tmpfs": PRIVILEGED._replace(read_only=True, tmpfs=("/run",)),
    "hidden processes": PRIVILEGED._replace(hide_pids=True),
}


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


SECCOMP = (
    "a user namespace cannot be used (Operation not permitted): a seccomp filter, as containers have one, forbids "
)
KUBERNETES = "(Kubernetes: capabilities: {add: [SYS_ADMIN, NET_ADMIN]})"
UNMASK = "--security-opt systempaths=unconfined (podman: unmask=ALL; Kubernetes: procMount: Unmasked, hostUsers: false)"
UNCONFINED = f"--security-opt seccomp=unconfined (Kubernetes: seccompProfile: {{type: Unconfined}}) and {UNMASK}"
APPARMOR = "--security-opt apparmor=unconfined (Kubernetes: appArmorProfile: {type: Unconfined})"
FORBIDDEN = {
    "docker": (
        Container(),
        f"{SECCOMP}it; start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN {KUBERNETES}, or --privileged",
    ),
    "docker, ordinary user": (
        Container(user=1000),
        f"{SECCOMP}it; start the container with {UNCONFINED}, or --privileged",
    ),
    "podman rootless": (
        Container(capabilities=PODMAN, seccomp="podman", maps=SUB_UIDS),
        f"{SECCOMP}what is done in it; start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add "
        "NET_RAW (Kubernetes: capabilities: {add: [SYS_ADMIN, NET_ADMIN, NET_RAW]}), or --privileged",
    ),
    "Ubuntu 24.04, ordinary user": (
        PRIVILEGED._replace(
            user=1000, sysctls=(("kernel/apparmor_restrict_unprivileged_userns", "1"),), refused="namespaces"
        ),
        "a user namespace cannot be used (Operation not permitted): AppArmor forbids it to programs without a profile; "
        "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "Debian's sysctl": (
        PRIVILEGED._replace(user=1000, sysctls=(("kernel/unprivileged_userns_clone", "0"),), refused="user namespaces"),
        "a user namespace cannot be used (Operation not permitted): a sysctl forbids it; as root: sysctl -w "
        "kernel.unprivileged_userns_clone=1",
    ),
    "no user namespaces": (
        PRIVILEGED._replace(user=1000, maps=("0 0 65536",), most_user_namespaces=0),
        "a user namespace cannot be used (No space left on device): user.max_user_namespaces allows no more; as root: "
        "sysctl -w user.max_user_namespaces=15000",
    ),
}


@pytest.mark.parametrize(("container", "line"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_where_labs_are_forbidden_one_line_says_what_allows_them(container, line):
    """Doctor and a run say the same; the run ends with 4, having begun nothing."""
    doctor, walk = cnitest(container, "doctor"), cnitest(container, *WALK)

    assert doctor.returncode == 1
    assert f"privileges  namespaces          missing  {line}\n" in doctor.stdout
    assert (walk.returncode, walk.stdout, walk.stderr) == (4, "", f"cnitest: {line}\n")


LINES = {
    "some capabilities": (
        Container(capabilities=(*DOCKER, "SYS_ADMIN")),
        "capabilities        missing  this process lacks NET_ADMIN; start the container with --cap-add NET_ADMIN "
        "(Kubernetes: capabilities: {add: [NET_ADMIN]})",
    ),
    "AppArmor": (
        Container(capabilities=(*DOCKER, *ADDED), apparmor="docker-default"),
        "sysctls             missing  sysctls of a new network namespace cannot be written (Read-only file system); "
        f"AppArmor's profile docker-default forbids mounts: start the container with {APPARMOR}",
    ),
    "AppArmor, no capabilities": (
        Container(apparmor="docker-default"),
        f"namespaces          missing  {SECCOMP}it; start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN "
        f"{KUBERNETES} and {APPARMOR}, or --privileged",
    ),
    "a masked /proc": (
        Container(seccomp="", user=1000),
        "processes in a lab  missing  a lab cannot have processes of its own, with their own /proc (mount: /proc: "
        "permission denied); below a /proc that is masked ({masked}, …) a user namespace gets no other: start the "
        f"container with {UNMASK}, or --privileged",
    ),
    "a read-only filesystem": (
        PRIVILEGED._replace(read_only=True),
        "temporary files     missing  no temporary file can be written in /tmp (Read-only file system): free some "
        "space there, or have TMPDIR name a directory with some; in a container --tmpfs /tmp:exec (Kubernetes: an "
        "emptyDir)",
    ),
    "a full disk": (
        PRIVILEGED._replace(full=True),
        "temporary files     missing  no temporary file can be written in /tmp (No space left on device): free some "
        "space there, or have TMPDIR name a directory with some; in a container --tmpfs /tmp:exec (Kubernetes: an "
        "emptyDir)",
    ),
    "no ip": (
        PRIVILEGED._replace(without=("ip",)),
        "ip                  missing  no program 'ip' in PATH, nor in /usr/local/sbin:/usr/local/bin:/usr/sbin:"
        "/usr/bin:/sbin:/bin; apt-get install iproute2",
    ),
    "no iptables": (
        PRIVILEGED._replace(without=("iptables",)),
        "programs    iptables            missing  no program 'iptables' in PATH, nor in /usr/local/sbin:/usr/local/bin:"
        "/usr/sbin:/usr/bin:/sbin:/bin; apt-get install iptables",
    ),
}


@pytest.mark.parametrize(("container", "line"), LINES.values(), ids=LINES)
def test_doctor_says_what_is_missing_and_what_to_do(container, line):
    """Each found by trying; the exit code is 1."""
    done = cnitest(container, "doctor")

    masked = run(container, "sh", "-c", "awk '$5 ~ /^.proc./ {print $5}' /proc/self/mountinfo | head -2")
    wanted = line.replace("{masked}", ", ".join(masked.stdout.split()))
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{wanted}\n" in done.stdout


LIMITS = {
    "overlay on overlay": (
        PRIVILEGED._replace(layers=2),
        "layers of hosts     absent   overlayfs cannot be mounted (Invalid argument): a host has /var/lib/cni, "
        "/etc/cni, /var/tmp of its own, the rest is the machine's; overlayfs stacks twice at most: keep the files of "
        "the runtime inside on a volume (-v /var/lib/docker)",
    ),
    "no tracefs, /sys read-only": (
        Container(capabilities=(*PODMAN, *ADDED), seccomp="podman", maps=SUB_UIDS),
        "tracing             absent   packets cannot be traced: tracefs is for the machine's root, or locked down "
        "(mount tracefs on /sys/kernel/tracing: Operation not permitted): a drop is told only after silence; run as "
        "the machine's root, outside of user namespaces, as containers of a rootful runtime do",
    ),
    "/sys read-only": (
        Container(capabilities=(*PODMAN, *ADDED), seccomp="podman", maps=SUB_UIDS),
        "/sys                absent   read-only in hosts, too: plugins that write there fail; run as the machine's "
        "root, outside of user namespaces, as containers of a rootful runtime do",
    ),
    "no SYS_PTRACE": (
        Container(capabilities=(*DOCKER, *ADDED)),
        "fault injection     absent   this process lacks SYS_PTRACE: no system call of a plugin can be failed (cnitest "
        "faults); --cap-add SYS_PTRACE (Kubernetes: capabilities: {add: [SYS_PTRACE]})",
    ),
    "hidden processes": (
        Container(capabilities=(*DOCKER, *ADDED), hide_pids=True),
        "other processes     absent   /proc hides those of other users (hidepid=invisible): what they leave of a lab "
        "is not found; --cap-add SYS_PTRACE (Kubernetes: capabilities: {add: [SYS_PTRACE]}), or mount -o "
        "remount,hidepid=0 /proc",
    ),
}


@pytest.mark.parametrize(("container", "line"), LIMITS.values(), ids=LIMITS)
def test_doctor_says_what_is_limited(container, line):
    """What labs can do without is told as absent, with what gives it; all is ready."""
    done = cnitest(container, "doctor")

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{line}\n" in done.stdout


@pytest.mark.parametrize("fault", ["a read-only filesystem", "a full disk"])
def test_a_run_without_room_for_files_ends_with_one_line(fault):
    """And with 4."""
    container, line = LINES[fault]

    done = cnitest(container, *WALK)

    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == f"cnitest: {line.partition('missing  ')[2]}\n"


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
