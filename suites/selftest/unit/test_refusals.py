"""Why namespaces are refused, read from a /proc of a test's own: what no machine here can be brought to."""

from __future__ import annotations

import errno
import os

import pytest

from cnitest.kernel.confinement import container
from cnitest.kernel.confinement import proc as files_of_proc
from cnitest.kernel.processes import refusals

RESTRICTED = {"sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}
RIGHTS = "--security-opt …"
APPARMOR = "AppArmor forbids it to programs without a profile; as root: sysctl -w kernel.apparmor_restrict"
MAPPED = {"self/uid_map": "0 0 4294967295\n", "self/gid_map": "0 0 4294967295\n"}


@pytest.fixture
def proc(tmp_path, monkeypatch):
    """Fills the /proc, in which no seccomp filter is found."""
    monkeypatch.setattr(files_of_proc, "_PROC", tmp_path)
    monkeypatch.setattr(refusals, "is_filtered", lambda _: False)

    def fill(files: dict[str, str]) -> None:
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)

    return fill


def refused(number: int) -> OSError:
    """The kernel's word."""
    return OSError(number, os.strerror(number))


def test_ubuntu_lets_the_namespace_be_and_nothing_in_it(proc):
    """Its map cannot be written, else nothing can be made."""
    proc(RESTRICTED)

    assert APPARMOR in refusals.of_map(refused(errno.EPERM), 1000, RIGHTS)
    assert APPARMOR in refusals.inside("net", refused(errno.EPERM), RIGHTS)
    assert APPARMOR in refusals.of_user_namespace(refused(errno.EACCES), RIGHTS)


def test_a_profile_of_a_container_is_named(proc):
    """Docker's forbids mounts; Ubuntu's sysctl does not concern whom it confines."""
    proc({**RESTRICTED, "self/attr/current": "docker-default (enforce)\n"})

    said = refusals.inside("mount", refused(errno.EACCES), RIGHTS)

    assert f"AppArmor's profile docker-default forbids what is done in it; start the container with {RIGHTS}" in said


@pytest.mark.parametrize(
    ("files", "number", "line"),
    [
        ({"sys/kernel/unprivileged_userns_clone": "0\n"}, errno.EPERM, "sysctl -w kernel.unprivileged_userns_clone=1"),
        ({"sys/user/max_user_namespaces": "0\n"}, errno.EPERM, "sysctl -w user.max_user_namespaces=15000"),
        ({}, errno.ENOSYS, "this kernel has none (CONFIG_USER_NS); run as root"),
        (
            MAPPED | {"self/mountinfo": "1 2 8:1 /srv /srv rw - ext4 x rw\n"},
            errno.EPERM,
            "this process is in a chroot;",
        ),
        (
            MAPPED | {"self/mountinfo": "1 2 8:1 / / rw - ext4 x rw\n"},
            errno.EPERM,
            "in a chroot, or a policy forbids it",
        ),
        (MAPPED, errno.EACCES, "a security module's policy forbids it; run as root"),
        ({"self/uid_map": "", "self/gid_map": ""}, errno.EPERM, "is none of the user namespace that it is in"),
    ],
)
def test_each_reason_has_its_line(proc, files, number, line):
    """What is found in /proc decides."""
    proc(files)

    assert line in refusals.of_user_namespace(refused(number), RIGHTS)


def test_no_filter_is_found_where_none_is():
    """The kernel answers by itself."""
    if container.seccomp():
        pytest.skip("this process has a seccomp filter")

    assert not any(map(refusals.is_filtered, ("user", "net", "mnt", "setns", "mount")))
