"""Paths as a person types them: from where they stand, and what is reported when nothing is there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnitest import paths
from cnitest.cni import conf
from cnitest.cni.calls.invoke import DEFAULT_PATH, search_path
from cnitest.conformance.model import profile
from cnitest.errors import ConfigError


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("bin", "{here}/bin"), ("./bin", "{here}/bin"), ("../x", "{parent}/x"), ("a b/c", "{here}/a b/c"), ("/x/", "/x")],
)
def test_a_path_counts_from_where_its_person_stands(tmp_path, typed, expected):
    """Relative, with dots, with blanks, absolute."""
    assert paths.absolute(typed, tmp_path) == expected.format(here=tmp_path, parent=tmp_path.parent)


def test_a_tilde_is_the_home_directory(tmp_path, monkeypatch):
    """A shell leaves it alone after a colon or an equals sign."""
    monkeypatch.setenv("HOME", str(tmp_path))

    assert paths.absolute("~/bin", "/elsewhere") == f"{tmp_path}/bin"


def test_the_parent_of_a_link_is_that_of_its_target(tmp_path):
    """As the kernel walks it."""
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to("far/away")

    assert paths.absolute("link/../bin", tmp_path) == f"{tmp_path}/far/bin"


def test_a_search_path_is_split_at_colons_and_made_absolute(tmp_path):
    """One option may hold several directories, and blanks belong to their names."""
    for name in ("one", "t w o"):
        (tmp_path / name).mkdir()

    assert search_path(["one:./t w o:", "/usr"], base=tmp_path) == (f"{tmp_path}/one", f"{tmp_path}/t w o", "/usr")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("bni", "'bni': there is no directory {here}/bni; did you mean '{here}/bin'?"),
        ("bni:/nowhere", "'bni': there is no directory {here}/bni"),
        ("other", "there is no directory {here}/other; {here} has bin, c:d"),
        (
            "no/such/bin",
            "there is no directory {here}/no/such/bin; there is no directory {here}/no; {here} has bin, c:d",
        ),
        (
            "/nowhere/bin,/usr",
            "there is no directory /nowhere/bin,/usr; colons separate directories: /nowhere/bin:/usr",
        ),
        ('"/usr"', "the quotes are a part of its name here: leave them out"),
        ("$HOME/bin", "there is no directory {here}/$HOME/bin; $HOME stands there as it is: a shell replaces it, but"),
        ("no/bin", "there is no directory {here}/no/bin; there is no directory {here}/no; {here} has bin, c:d"),
        ("file", "{here}/file is no directory; name the directory that it is in: {here}"),
        ("c:d", "'c:d': the directory's name has a colon, which separates directories in CNI_PATH"),
        ("", "is empty: name directories"),
        (":", "is empty: name directories"),
    ],
)
def test_a_search_path_that_is_none_is_reported(tmp_path, typed, words):
    """What is not there with a similar name or what there is; what is no directory; a colon in a name."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "c:d").mkdir()
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError) as raised:
        search_path([typed], base=tmp_path)

    assert str(raised.value).startswith("--cni-path ")
    assert words.format(here=tmp_path) in str(raised.value)


def test_a_search_path_of_which_something_is_there_is_taken(tmp_path):
    """Directories that are not there stay in the path, and are named to whoever asks."""
    from cnitest import paths

    (tmp_path / "bin").mkdir()

    assert search_path(["bin:bni"], base=tmp_path) == (f"{tmp_path}/bin", f"{tmp_path}/bni")
    assert list(paths.lacking("--cni-path", ["bin:bni"], tmp_path)) == [
        f"--cni-path 'bni': there is no directory {tmp_path}/bni; did you mean '{tmp_path}/bin'?"
    ]


def test_the_variable_is_resolved_too_and_may_name_what_is_not_there(tmp_path, monkeypatch):
    """Runtimes pass over directories of CNI_PATH that are not there."""
    monkeypatch.setenv("CNI_PATH", "./bin:/no/such")

    assert search_path([], base=tmp_path) == (f"{tmp_path}/bin", "/no/such")


def test_without_option_and_variable_the_distributions_directories_are_searched(monkeypatch):
    """As they are."""
    monkeypatch.delenv("CNI_PATH", raising=False)

    assert search_path([]) == DEFAULT_PATH


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no/x.json", "there is no such directory: {here}/no"),
        (".", "{here} is a directory; name a file in it"),
        ("file/x.json", "there is no such directory: {here}/file"),
    ],
)
def test_a_file_that_cannot_be_written_is_reported_before_the_work(tmp_path, text, words):
    """Its directory is not there, or it is one."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError) as raised:
        paths.file_to_write("--json", text, tmp_path)

    assert f"--json {text!r}: " in str(raised.value)
    assert words.format(here=tmp_path) in str(raised.value)


def test_a_directory_to_fill_may_not_be_there_yet(tmp_path):
    """It is made when something is written; below a file it cannot be."""
    (tmp_path / "file").write_text("")

    assert paths.directory_to_fill("--out", "new/deep", tmp_path) == f"{tmp_path}/new/deep"
    with pytest.raises(ConfigError, match="file is no directory that can be written to"):
        paths.directory_to_fill("--out", "file/deep", tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_may_not_be_written_is_reported():
    """Permissions are looked at before the work."""
    with pytest.raises(ConfigError, match="permission denied"):
        paths.file_to_write("--json", "/x.json")


def test_a_configuration_that_is_not_there_is_reported_with_a_similar_one(tmp_path):
    """In its ending, too."""
    (tmp_path / "net.conflist").write_text("{}")

    for name in ("nett.conflist", "net.conflis"):
        with pytest.raises(ConfigError, match=r"No such file or directory; did you mean '.*/net\.conflist'\?"):
            conf.network(tmp_path / name)


def test_a_plugin_is_found_where_it_is_named_and_not_where_another_key_has_its_name(tmp_path):
    """The position is that of the value of ``type``."""
    file = tmp_path / "net.conflist"
    file.write_text('{"name": "tap", "cniVersion": "1.0.0",\n "plugins": [\n  {"x": "tap", "type":  "tap"}]}\n')

    assert conf.position(conf.network(file), "tap") == f"{file}:3:25"


def test_words_name_paths_as_one_types_them(tmp_path, monkeypatch):
    """Whatever lies below the working directory loses its prefix, also in quotes and lists; all else stays."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    here = tmp_path / "here"

    said = paths.relative(
        f"{here}/a b.conf:1:2: no '{here}/bin' in [{here}/x:{here}/y], {here} has a; {here}s/z /m{here}/q"
    )

    assert said == f"a b.conf:1:2: no 'bin' in [x:y], {here} has a; {here}s/z /m{here}/q"


def test_words_of_the_root_directory_stay(monkeypatch):
    """In the root every path would be below."""
    monkeypatch.chdir("/")

    assert paths.relative("/etc/x: cannot be read") == "/etc/x: cannot be read"


class TestProfile:
    """The paths of a profile count from its own directory."""

    def test_its_search_path(self, tmp_path, monkeypatch):
        """Wherever it is read from; a text is split at colons as CNI_PATH is."""
        (tmp_path / "own" / "bin").mkdir(parents=True)
        monkeypatch.chdir("/")
        for written in ("[./bin, ..]", "'./bin:..'"):
            (tmp_path / "own" / "cnitest.yaml").write_text(f"path: {written}\n")

            found = profile.load(tmp_path / "own" / "cnitest.yaml")

            assert found.path == (f"{tmp_path}/own/bin", str(tmp_path))

    def test_a_directory_that_is_not_there(self, tmp_path):
        """The message has file and line, and a similar name."""
        (tmp_path / "bin").mkdir()
        file = tmp_path / "cnitest.yaml"
        file.write_text("name: x\npath: [./bni]\n")

        with pytest.raises(
            ConfigError, match=r"cnitest\.yaml:2:\d+: path: './bni': there is no directory .* did you mean"
        ):
            profile.load(Path(file))


@pytest.mark.parametrize(
    ("one", "other", "fine"),
    [
        (paths.Used("--json", "a", True), paths.Used("--junitxml", "./a", True), False),
        (paths.Used("a configuration", "a", False), paths.Used("--json", "a", True), False),
        (paths.Used("--baseline", "a", False, "baseline"), paths.Used("--json", "a", True), False),
        (paths.Used("--baseline", "a", False, "baseline"), paths.Used("--write-baseline", "a", True, "baseline"), True),
        (paths.Used("a configuration", "a", False), paths.Used("a configuration", "a", False), True),
        (paths.Used("--json", "/dev/null", True), paths.Used("--junitxml", "/dev/null", True), True),
        (paths.Used("--json", "a", True), paths.Used("--junitxml", "b", True), True),
    ],
)
def test_no_file_is_written_over_another(one: paths.Used, other: paths.Used, fine: bool):
    """Neither what is read nor what else is written; both options are named."""
    if fine:
        paths.apart([one, other])
    else:
        with pytest.raises(ConfigError, match=rf"^{one.option} and {other.option} name the same file"):
            paths.apart([one, other])


@pytest.mark.parametrize("typed", ["nope.conf", "x.yaml", "nodir"])
def test_what_only_ends_alike_is_not_suggested(tmp_path, typed):
    """Files of one kind end alike; then those that there are are listed."""
    for name in ("c-notype.conf", "t7.yaml", "adir"):
        (tmp_path / name).touch()

    assert paths.advice(tmp_path / typed) == f"; {tmp_path} has adir, c-notype.conf, t7.yaml"


@pytest.mark.parametrize(("typed", "there"), [("my.conf", "my.conflist"), ("tets.py", "test.py"), ("bim", "bin")])
def test_a_mistyped_name_is_suggested(tmp_path, typed, there):
    """Its stem is, or its ending."""
    (tmp_path / there).touch()

    assert paths.advice(tmp_path / typed) == f"; did you mean '{tmp_path / there}'?"


def _limited(words: str, most: int = 1) -> subprocess.CompletedProcess[str]:
    """A program in Python after ``import cnitest.paths``, which can write files of ``most`` KiB."""
    program = f"from cnitest import paths\n{words}"
    command = ["bash", "-c", 'ulimit -f "$0"; exec "$@"', str(most), sys.executable, "-Bc", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_file_that_does_not_fit_leaves_what_was_there(tmp_path: Path):
    """The former file stays whole, and nothing of the new one lies beside it."""
    (tmp_path / "there").write_text("kept")

    done = [_limited(f"paths.write({str(tmp_path / name)!r}, 'x' * 9000)") for name in ("there", "new")]

    assert ["File too large" in each.stderr for each in done] == [True, True]
    assert {file.name: file.read_text() for file in tmp_path.iterdir()} == {"there": "kept"}


def test_a_file_is_written_whole_with_its_mode_and_through_links(tmp_path: Path):
    """Permissions stay, a link leads on to its file, and a device is written to."""
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("old")
    file.chmod(0o640)
    link.symlink_to(file)

    paths.write(link, "new\udcff")
    paths.write("/dev/null", "nothing")

    assert (file.read_bytes(), file.stat().st_mode & 0o777, link.is_symlink()) == (b"new\xff", 0o640, True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "link"]
