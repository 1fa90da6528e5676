"""Whether temporary files can be written: on a full disk, or a container's read-only filesystem, nothing else works."""

from __future__ import annotations

import os
import tempfile

_REMEDY = (
    "free some space there, or have TMPDIR name a directory with some; in a container --tmpfs /tmp:exec (Kubernetes: "
    "an emptyDir)"
)
_SIZE = 1 << 16


def why_no_temporary_files() -> str:
    """Why no file can be written where temporary ones belong, with what to do; empty where one can."""
    directory = os.environ.get("TMPDIR", "/tmp")
    try:
        with tempfile.TemporaryFile(dir=tempfile.gettempdir()) as file:
            file.write(bytes(_SIZE))
        return ""
    except FileNotFoundError:  # Python has tried some directories, and says nothing of why
        why = _refusal(directory)
    except OSError as error:
        directory, why = tempfile.gettempdir(), error.strerror or str(error)
    return f"no temporary file can be written in {directory} ({why}): {_REMEDY}"


def _refusal(directory: str) -> str:
    try:
        fd, path = tempfile.mkstemp(dir=directory)
    except OSError as error:
        return error.strerror or str(error)
    try:
        os.write(fd, bytes(_SIZE))
    except OSError as error:
        return error.strerror or str(error)
    finally:
        os.close(fd)
        os.unlink(path)
    return "no other directory either"
