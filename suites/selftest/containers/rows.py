"""Containers as people run them, a row each: where all is ready, and what is missing or limited, with doctor's line.

docs/ci.md has those of runtimes as a table.
"""

from __future__ import annotations

from cnitest.suites.selftest.containers.spec import DOCKER, PODMAN, PRIVILEGED, Container

ADDED = ("SYS_ADMIN", "NET_ADMIN", "NET_RAW")
SUB_UIDS, ONE_UID = ("0 100000 65536",), ("0 65534 1",)
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
    "no /sys": PRIVILEGED._replace(unmounted=("/sys",)),
    "no /sys, ordinary user": PRIVILEGED._replace(user=1000, unmounted=("/sys",)),
    "parts of /sys covered, ordinary user": PRIVILEGED._replace(user=1000, covered=("/sys/devices/system/cpu",)),
    "/sys read-only, ordinary user": PRIVILEGED._replace(user=1000, read_only_places=("/sys",)),
}

SECCOMP = (
    "a user namespace cannot be used (Operation not permitted): a seccomp filter, as containers have one, forbids "
)
KUBERNETES = "(Kubernetes: capabilities: {add: [SYS_ADMIN, NET_ADMIN]})"
UNMASK = "--security-opt systempaths=unconfined (podman: unmask=ALL; Kubernetes: procMount: Unmasked, hostUsers: false)"
UNCONFINED = f"--security-opt seccomp=unconfined (Kubernetes: seccompProfile: {{type: Unconfined}}) and {UNMASK}"
APPARMOR = "--security-opt apparmor=unconfined (Kubernetes: appArmorProfile: {type: Unconfined})"
NO_ROOM = (
    "free some space there, or have TMPDIR name a directory with some; in a container --tmpfs /tmp:exec (Kubernetes: "
    "an emptyDir)"
)
MASKED = "a user namespace cannot be used (Operation not permitted): below a /proc that is masked ({masked}, …) a user "
#: What is missing by doctor's name, and why, with what to do: a run says the same, and ends. ``{masked}`` stands for
#: the first two places in /proc that are masked.
FORBIDDEN = {
    "docker": (
        Container(),
        "namespaces",
        f"{SECCOMP}it; start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN {KUBERNETES}, or --privileged",
    ),
    "docker, ordinary user": (
        Container(user=1000),
        "namespaces",
        f"{SECCOMP}it; start the container with {UNCONFINED}, or --privileged",
    ),
    "docker, ordinary user, no seccomp": (
        Container(seccomp="", user=1000),
        "namespaces",
        f"{MASKED}namespace gets no other; start the container with {UNMASK}, or --privileged",
    ),
    "docker with SYS_ADMIN alone": (
        Container(capabilities=(*DOCKER, "SYS_ADMIN")),
        "capabilities",
        "this process lacks NET_ADMIN; start the container with --cap-add NET_ADMIN (Kubernetes: capabilities: {add: "
        "[NET_ADMIN]})",
    ),
    "docker with capabilities, under AppArmor": (
        Container(capabilities=(*DOCKER, *ADDED), apparmor="docker-default"),
        "mounts",
        "nothing can be mounted for a lab (Permission denied); AppArmor's profile docker-default forbids mounts; start "
        f"the container with {APPARMOR}",
    ),
    "podman rootless": (
        Container(capabilities=PODMAN, seccomp="podman", maps=SUB_UIDS),
        "namespaces",
        f"{SECCOMP}what is done in it; start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN --cap-add "
        "NET_RAW (Kubernetes: capabilities: {add: [SYS_ADMIN, NET_ADMIN, NET_RAW]}), or --privileged",
    ),
    "kubernetes": (
        Container(seccomp=""),
        "namespaces",
        f"{MASKED}namespace gets no other; start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN "
        f"{KUBERNETES}, or --privileged",
    ),
    "/proc/sys read-only, ordinary user": (
        PRIVILEGED._replace(user=1000, read_only_places=("/proc/sys",)),
        "namespaces",
        "a user namespace cannot be used (Operation not permitted): below a /proc that is masked (/proc/sys) a user "
        "namespace gets no other; as root: umount /proc/sys",
    ),
    "Ubuntu 24.04, ordinary user": (
        PRIVILEGED._replace(
            user=1000, sysctls=(("kernel/apparmor_restrict_unprivileged_userns", "1"),), refused="namespaces"
        ),
        "namespaces",
        "a user namespace cannot be used (Operation not permitted): AppArmor forbids it to programs without a profile; "
        "as root: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    "Debian's sysctl": (
        PRIVILEGED._replace(user=1000, sysctls=(("kernel/unprivileged_userns_clone", "0"),), refused="user namespaces"),
        "namespaces",
        "a user namespace cannot be used (Operation not permitted): a sysctl forbids it; as root: sysctl -w "
        "kernel.unprivileged_userns_clone=1",
    ),
    "no user namespaces": (
        PRIVILEGED._replace(user=1000, maps=("0 0 65536",), most_user_namespaces=0),
        "namespaces",
        "a user namespace cannot be used (No space left on device): user.max_user_namespaces allows no more; as root: "
        "sysctl -w user.max_user_namespaces=15000",
    ),
    "a read-only filesystem": (
        PRIVILEGED._replace(read_only=True),
        "temporary files",
        f"no temporary file can be written in /tmp (Read-only file system): {NO_ROOM}",
    ),
    "a full disk": (
        PRIVILEGED._replace(full=True),
        "temporary files",
        f"no temporary file can be written in /tmp (No space left on device): {NO_ROOM}",
    ),
}

LINES = {
    "AppArmor, no capabilities": (
        Container(apparmor="docker-default"),
        f"namespaces          missing  {SECCOMP}it; start the container with --cap-add SYS_ADMIN --cap-add NET_ADMIN "
        f"{KUBERNETES} and {APPARMOR}, or --privileged",
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

EMPTY_SYS = "empty in hosts: {}, and then a user namespace gets none: plugins that read there find no links"
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
        "(mount tracefs on /sys/kernel/tracing: Operation not permitted): a drop is reported only after silence; "
        "run as the machine's root, outside of user namespaces, as containers of a rootful runtime do",
    ),
    "/sys read-only": (
        Container(capabilities=(*PODMAN, *ADDED), seccomp="podman", maps=SUB_UIDS),
        "/sys                absent   read-only in hosts, too: plugins that write there fail; run as the machine's "
        "root, outside of user namespaces, as containers of a rootful runtime do",
    ),
    "no /sys, ordinary user": (
        READY["no /sys, ordinary user"],
        f"/sys                absent   {EMPTY_SYS.format('/sys is not mounted')}; as root: mount -t sysfs sysfs /sys; "
        "or run cnitest as root",
    ),
    "parts of /sys covered, ordinary user": (
        READY["parts of /sys covered, ordinary user"],
        f"/sys                absent   {EMPTY_SYS.format('something lies over /sys/devices/system/cpu')}; as root: "
        "umount /sys/devices/system/cpu; or run cnitest as root",
    ),
    "no trace without /sys": (
        READY["no /sys"],
        "tracing             absent   packets cannot be traced: /sys is not mounted (mount tracefs on "
        "/sys/kernel/tracing: No such file or directory): a drop is reported only after silence; as root: mount -t "
        "sysfs sysfs /sys",
    ),
    "/sys read-only, ordinary user": (
        READY["/sys read-only, ordinary user"],
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
