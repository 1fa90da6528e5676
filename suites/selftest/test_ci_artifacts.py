"""The directory of a run's artifacts: whole folders, within bounds, also where there is no room or no end."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cnitest.suites.selftest.ci_runs import pytest_in


def test_at_most_fifty_folders_are_written(tmp_path):
    """The others are reported, and why."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(53))\ndef test_it(n): assert n < 0\n"
    )

    run = pytest_in(tmp_path)

    assert len(list((tmp_path / "out").iterdir())) == 50 + 2
    assert [row["why"] for row in run.index["left_out"]] == ["there are 50 folders already"] * 3
    assert "artifacts: 50 failures in " in run.done.stdout
    assert ", 3 left out (why: " in run.done.stdout


def test_a_run_of_before_is_replaced(tmp_path):
    """Its folders go; what others put beside them stays."""
    (tmp_path / "test_it.py").write_text("def test_it(): assert 0\ndef test_other(): assert 0\n")
    pytest_in(tmp_path)
    (tmp_path / "out" / "notes").write_text("mine")

    run = pytest_in(tmp_path, "-k", "other")

    (folder,) = [row["folder"] for row in run.index["failures"]]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {folder, "index.json", "INDEX.md", "notes"}


def test_a_file_that_cannot_be_collected_has_a_folder(tmp_path):
    """It has failed, too."""
    (tmp_path / "test_it.py").write_text("import no_such_module\n")

    run = pytest_in(tmp_path)

    assert [row["test"] for row in run.index["failures"]] == ["test_it.py"]
    assert "no_such_module" in (run.folder("test_it.py") / "report.txt").read_text()


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        ("echo > out", "it is a file"),
        ("mkdir out && echo > out/mine && echo > out/yours", "no run of ours filled it: it has mine, yours"),
        ("mkdir out && mount -t tmpfs -o ro none out", "read-only file system"),
    ],
)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_directory_that_cannot_be_filled_ends_a_run_before_it_begins(tmp_path, prepare, words, workers):
    """With one line and exit code 4; what is there stays."""
    (tmp_path / "test_it.py").write_text("def test_it(): assert 0\n")
    done = privately(tmp_path, f"{prepare} && exec {sys.executable} -m pytest -n {workers} --cni-artifacts out")

    said = [line for line in done.stderr.splitlines() if line]
    assert done.returncode == 4, done.stdout
    assert len(said) == 1
    assert said[0].startswith("ERROR: --cni-artifacts")
    assert words in said[0]


def test_a_full_disk_is_reported_at_the_end(tmp_path):
    """The run ends as its tests did; what there was no room for is not there in halves."""
    (tmp_path / "test_it.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(4))\ndef test_it(n):\n"
        "    print(('y' * 99 + '\\n') * 500)\n    assert 0\n"
    )
    limits = "mkdir out && mount -t tmpfs -o size=128k none out"
    done = privately(tmp_path, f"{limits} && {sys.executable} -m pytest --tb=no --cni-artifacts out; ls -A out out/*")

    assert "4 failed" in done.stdout
    assert "left out (why: " in done.stdout
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert ".writing" not in done.stdout
    assert done.stdout.count("report.txt") == done.stdout.count("repro.sh")


def privately(place, script):
    """A shell's script in a mount namespace of its own."""
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False, cwd=place, timeout=120
    )


def test_an_interrupted_run_has_whole_folders(tmp_path):
    """And says in its index that it was interrupted."""
    (tmp_path / "test_it.py").write_text("def test_it(): assert 0\ndef test_two(): raise KeyboardInterrupt\n")

    run = pytest_in(tmp_path)

    (folder,) = [row["folder"] for row in run.index["failures"]]
    assert run.done.returncode == 2
    assert run.index["run"] == "the run was interrupted"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {folder, "index.json", "INDEX.md"}
    assert {path.name for path in (tmp_path / "out" / folder).iterdir()} == {"report.txt", "repro.sh"}
