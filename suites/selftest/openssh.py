"""An OpenSSH server of a test's own on loopback: its keys, accounts and settings, and how ssh gets there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from cnitest.suites.selftest.processes import children, lives, maps_user, until

from cnitest.errors import DeadlineExceeded

#: Where script/setup unpacks the server, whose package would start a service.
UNPACKED = (Path(sys.prefix) / "openssh", Path(__file__).resolve().parents[2] / ".venv" / "openssh")
ORDINARY = 65534
_SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin yes
PrintMotd no
MaxStartups 100
"""
_CLIENT = """\
Host {name}
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {key}
  IdentitiesOnly yes
  BatchMode yes
  UserKnownHostsFile {home}/known
"""
#: In namespaces of its own the server has accounts of its own; the machine's files stay as they are.
_ACCOUNTS = """\
mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/sshd || exit
for name in passwd shadow; do [ ! -e "/etc/$name" ] || mount --bind "$0/$name" "/etc/$name" || exit; done
exec "$@"
"""


class Server(NamedTuple):
    """A server that listens: its process, and the settings with which ssh knows its hosts ``worker`` and ``ordinary``
    (the same machine, by an ordinary user), ``stranger`` (a key that it does not know) and ``closed`` (nobody)."""

    pid: int
    home: Path
    config: Path

    @property
    def at_home(self) -> Path:
        """The home directory of the user whom ``worker`` is."""
        return self.home if maps_user(ORDINARY) else self.home / "ordinary"

    def tx(self, directory: Path, number: int = 2, host: str = "worker", python: str = sys.executable) -> str:
        """The value of ``--tx`` for some workers here."""
        return f"{number}*ssh={host}//ssh_config={self.config}//python={python}//chdir={directory}"

    def wait_until_idle(self) -> None:
        """Wait until nothing that was started over a connection is left. Raises DeadlineExceeded."""
        until(lambda: not any(map(lives, children(self.pid))), 20.0, lambda: f"the end of {self._there()}")

    def _there(self) -> str:
        return ", ".join(_words(pid) for pid in children(self.pid))


def _words(pid: int) -> str:
    with suppress(OSError):
        return f"{pid}: {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()[:200]}"
    return f"{pid}"


def program() -> str:
    """The server's program; empty where there is none."""
    unpacked = [str(place / "usr" / "sbin") for place in UNPACKED]
    return shutil.which("sshd", path=":".join([*unpacked, "/usr/sbin", "/usr/local/sbin"])) or ""


def lacking() -> str:
    """Why no server can be started here; empty where one can."""
    missing = [name for name in ("ssh", "ssh-keygen", "unshare", "mount") if not shutil.which(name)]
    missing += [] if program() else ["sshd"]
    return f"needs {', '.join(missing)}: script/setup fetches OpenSSH" if missing else ""


@contextmanager
def serving(home: Path) -> Iterator[Server]:
    """A server that listens while the block runs; at its end nothing of it is left. Raises DeadlineExceeded."""
    for key in ("host", "user", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / key)], check=True)
    _write_accounts(home)
    process, port = _listening(home)
    _write_client(home, port)
    server = Server(process.pid, home, home / "ssh_config")
    try:
        yield server
        server.wait_until_idle()
    finally:
        left = children(process.pid)
        process.terminate()
        process.wait(10)
        for pid in filter(lives, left):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)


def _listening(home: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A server on a port that was free just now; another where somebody was quicker."""
    said = ""
    for _ in range(10):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        process, said = _started(home, port)
        if process.poll() is None:
            return process, port
        if "bind" not in said.lower():
            break
    raise DeadlineExceeded(f"no OpenSSH server can be started: {said}")


def _started(home: Path, port: int) -> tuple[subprocess.Popen[bytes], str]:
    """A server that listens, or has ended; and what it said."""
    (home / "sshd_config").write_text(_SERVER.format(home=home, port=port) + _parts())
    log = home / "sshd.log"
    with log.open("wb") as out:
        process = subprocess.Popen(_command(home), stdout=out, stderr=out, env=_environment())
    until(lambda: b"listening" in log.read_bytes() or process.poll() is not None, 20.0, log.read_text)
    return process, log.read_text()


def _command(home: Path) -> list[str]:
    """The server, in a mount namespace with its accounts; where only one user is there, as another than root."""
    server = [program(), "-D", "-e", "-f", str(home / "sshd_config")]
    if not maps_user(ORDINARY):
        server = ["unshare", "--user", f"--map-user={ORDINARY}", f"--map-group={ORDINARY}", *server]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", _ACCOUNTS, str(home), *server]


def _environment() -> dict[str, str]:
    libraries = Path(program()).parents[1].glob("lib/*-linux-gnu*")
    return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": ":".join(map(str, libraries))}


def _parts() -> str:
    """Since OpenSSH 9.8 and 10.0 the server is several programs, which are looked for where the package has them."""
    place = Path(program()).parents[1] / "lib" / "openssh"
    known = {"SshdSessionPath": place / "sshd-session", "SshdAuthPath": place / "sshd-auth"}
    return "".join(f"{key} {path}\n" for key, path in known.items() if path.exists())


def _write_accounts(home: Path) -> None:
    ordinary = home / "ordinary"
    ordinary.mkdir()
    if maps_user(ORDINARY):
        os.chown(ordinary, ORDINARY, ORDINARY)
    lines = [f"root:x:0:0::{home}:/bin/sh", f"ordinary:x:{ORDINARY}:{ORDINARY}::{ordinary}:/bin/sh"]
    (home / "passwd").write_text("\n".join([*lines, "sshd:x:65533:65533::/run/sshd:/usr/sbin/nologin", ""]))
    (home / "shadow").write_text("".join(f"{name}:*:1::::::\n" for name in ("root", "ordinary", "sshd")))


def _write_client(home: Path, port: int) -> None:
    root = "root" if maps_user(ORDINARY) else "ordinary"
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    hosts = (("worker", port, root, "user"), ("ordinary", port, "ordinary", "user"))
    hosts += (("stranger", port, root, "other"), ("closed", closed, root, "user"))
    text = (_CLIENT.format(name=name, port=to, user=user, key=home / key, home=home) for name, to, user, key in hosts)
    (home / "ssh_config").write_text("\n".join(text))
    key = " ".join((home / "host.pub").read_text().split()[:2])
    (home / "known").write_text(f"[127.0.0.1]:{port} {key}\n")
