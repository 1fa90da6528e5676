"""Configurations as people mistype them: each fault is reported with its place, what is wrong, and what was meant."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnitest import paths
from cnitest.cni import conf
from cnitest.cni.json_text import parsed, repeated
from cnitest.errors import ConfigError

BRIDGE = {"cniVersion": "1.0.0", "name": "n", "type": "bridge"}


def complaint(tmp_path: Path, text: str) -> str:
    """What is said of a .conf with this text, without the file's name."""
    file = tmp_path / "my.conf"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        conf.network(file)
    return str(caught.value).removeprefix(str(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1:1: is not JSON: the file is empty"),
        (" \n\n", ":1:1: is not JSON: the file is empty"),
        ("\ufeff{}", ":1:1: begins with a byte-order mark"),
        ("{\n  // why\n}", ":2:3: is not JSON: JSON has no comments: delete it"),
        ('{\n"a": 1, /* why */ "b": 2}', ":2:9: is not JSON: JSON has no comments"),
        ('{"a": 1\n# why\n}', ":2:1: is not JSON: JSON has no comments"),
        ('{"a": [1, 2],\n}', ":1:13: is not JSON: a comma is the last thing here"),
        ('{"a": [1, 2 , ]}', ":1:13: is not JSON: a comma is the last thing here"),
        ('{"a": 1,, "b": 2}', ":1:9: is not JSON: a comma too many"),
        ("{'a': 1}", ":1:2: is not JSON: JSON has straight double quotes only (\"), not '"),
        ('{"a": “b”}', ":1:7: is not JSON: JSON has straight double quotes"),
        ('{"a": True}', ":1:7: is not JSON: 'True' is no word of JSON. Did you mean true?"),
        ('{"a": None}', ":1:7: is not JSON: 'None' is no word of JSON. Did you mean null?"),
        ('{"a": host-local}', ':1:7: is not JSON: a word stands between double quotes: "host-local"'),
        ("{name: 1}", ':1:2: is not JSON: a word stands between double quotes: "name"'),
        ('{"a": 1 "b": 2}', ":1:9: is not JSON: a comma is missing before this"),
        ('{"a" 1}', ":1:6: is not JSON: a colon is missing before this"),
        ('{"a": "b}', ":1:7: is not JSON: this string has no closing double quote"),
        ('{"a": "b,\n "c": 1}', ":1:10: is not JSON: a line break or tab stands in a string"),
        ('{"a": "b\0"}', ":1:9: is not JSON: the control character '\\x00' stands here: delete it, or write \\u0000"),
        ('{\x1b"a": 1}', ":1:2: is not JSON: the control character '\\x1b' stands here: delete it"),
        ('{"a": {"b": [1', ":1:15: is not JSON: it ends here, before everything is closed ('[' of 1:13)"),
        ('{"a": 1} {"b": 2}', ":1:10: is not JSON: the object ends before this; one file holds one configuration"),
        ('{"a": 1,\u00a0"b": 2}', ":1:9: is not JSON: this is a no-break space (U+00A0), no ordinary blank: type one"),
        ('\u200b{"a": 1}', ":1:1: is not JSON: this is a zero width space (U+200B), which shows nothing: delete it"),
        ('{"a": 1,\n{% if x %}}', ":2:1: is not JSON: '{%' is of a template: have its tool fill it in first"),
        ('{"a": {{ x }}}', ":1:7: is not JSON: '{{' is of a template"),
        ('{"a" [[1]]}', ":1:6: is not JSON: a colon is missing before this"),
        ('{{"a": 1}}', ":1:2: is not JSON: expecting property name"),
        ('{"a": 1\u3000}', ":1:8: is not JSON: this is an ideographic space (U+3000), no ordinary blank: type one"),
        ('{"a": ${X}}', ":1:7: is not JSON: '${' is of a template"),
        ('{"a": [ ... ]}', ":1:9: is not JSON: the dots stand for something that was left out: write it"),
        ("name: n\ntype: bridge\n", ":1:1: is not JSON: this reads like YAML"),
        ("---\nname: n\n", ":1:1: is not JSON: this reads like YAML"),
        ('{"NaN": "NaN",\n"mtu": NaN}', ":2:8: is not JSON: NaN is no number in JSON"),
        ('{"mtu": -Infinity}', ":1:9: is not JSON: -Infinity is no number in JSON"),
        ("[]", ":1:1: a network configuration is a JSON object, this is a list"),
    ],
)
def test_what_json_does_not_have(tmp_path: Path, text: str, said: str):
    """The place is that of the fault itself, and the words are ours."""
    assert complaint(tmp_path, text).startswith(said)


@pytest.mark.parametrize("placeholder", ["%s", "$NET", "${NET}", "{{ .Name }}", "__NAME__", "<NAME>"])
@pytest.mark.parametrize("key", ["cniVersion", "name"])
def test_a_placeholder_is_named(tmp_path: Path, key: str, placeholder: str):
    """A value that another tool was to fill in is said to be one."""
    said = complaint(tmp_path, json.dumps({**BRIDGE, key: placeholder}))

    assert said.endswith(f"; {placeholder!r} is a placeholder: have its tool fill it in first")


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text("{}[]\",:/#'\n truefalsn1-\\\ufeff“", max_size=40))
def test_any_text_is_json_or_reported(text: str):
    """No text of these characters ends in anything else than an object or one line with a place."""
    try:
        found = parsed(text, "x")
    except ConfigError as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert said.startswith("x:")
        assert "\n" not in said
    else:
        assert isinstance(found, dict)
        assert list(repeated(json.dumps(found))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": 5}, "'type' is a number (5), not a string: the name of the plugin's binary"),
        ({"type": ["bridge"]}, "'type' is a list, not a string"),
        ({"type": None}, "it has no 'type': the name of the plugin's binary"),
        ({"type": ""}, "it has no 'type': the name of the plugin's binary"),
        ({"type": None, "Type": "bridge"}, "no 'type': the name of the plugin's binary; did you mean it by 'Type'"),
        ({"type": None, "tpye": "bridge"}, "did you mean it by 'tpye'?"),
        ({"type": "a/b"}, "'type' 'a/b' must be the name of a binary, not a path (SPEC section 4); did you mean 'b'?"),
        ({"type": "/opt/cni/bin/"}, "must be the name of a binary, not a path (SPEC section 4)"),
        ({"type": "a\0b"}, "must be the name of a binary, not a path"),
        ({"name": 7}, "'name' is a number (7), not a string"),
        ({"name": None, "nmae": "n"}, "has no 'name' (SPEC section 1 demands one); did you mean it by 'nmae'?"),
        ({"cniVersion": "v1.0.0"}, "'cniVersion' 'v1.0.0' is none of 0.1.0, "),
        ({"cniVersion": "v1.0.0"}, "; did you mean '1.0.0'?"),
        ({"cniVersion": "1.0"}, "; did you mean '1.0.0'?"),
        ({"cniVersion": "0.4"}, "; did you mean '0.4.0'?"),
        ({"cniVersion": 1.0}, "'cniVersion' is a number (1.0), and is none of"),
        ({"cniVersion": 1.0}, "; did you mean '1.0.0'?"),
        ({"cniVersion": ["1.0.0"]}, "'cniVersion' is a list, and is none of"),
        ({"disableCheck": "yess"}, "'disableCheck' is 'yess', not a boolean"),
    ],
)  # fmt: skip
def test_what_a_key_must_be(tmp_path: Path, change: dict[str, object], said: str):
    """A value of another type is reported as what it is; a word is reported with the one that was meant."""
    whole = {key: value for key, value in {**BRIDGE, **change}.items() if value is not None}

    assert said in complaint(tmp_path, json.dumps(whole if "disableCheck" not in change else {**whole, "plugins": 1}))


def test_no_version_is_guessed(tmp_path: Path):
    """What resembles no version of the specification gets no advice."""
    assert "did you mean" not in complaint(tmp_path, json.dumps({**BRIDGE, "cniVersion": "1.2.0"}))


@pytest.mark.parametrize("key", ["name", "type", "cniVersion"])
def test_no_message_is_longer_than_what_it_is_about(tmp_path: Path, key: str):
    """A value of thousands of characters is cut in the message."""
    assert len(complaint(tmp_path, json.dumps({**BRIDGE, key: "!/" * 5000}))) < 400


def test_a_name_that_no_folder_can_have(tmp_path: Path):
    """Runtimes look for a list's plugins in a folder of the network's name, too: none has more than 255 letters, and
    the file is named where that stands."""
    file = tmp_path / "my.conflist"
    for length in (255, 256, 5000):
        file.write_text(json.dumps({"cniVersion": "1.0.0", "name": "a" * length, "plugins": [{"type": "bridge"}]}))
        if length == 255:
            assert conf.network(file).name == "a" * 255
            continue
        with pytest.raises(ConfigError) as caught:
            conf.network(file)
        assert str(caught.value).startswith(f"{file}: 'name' has {length} letters, and runtimes look for a folder")


def test_keys_that_are_given_twice():
    """Each object on its own, with both places; a string that looks like a key is none, and escapes are read."""
    text = '{"a": "a", "b": {"a": 1, "b": [{"a": 2}, {"a": 3}]},\n "a": 1, "\\u0062": "\\"b\\": 1", "c": ["c", "c"]}'

    found = list(repeated(text))

    assert [(each.key, each.place, each.first) for each in found] == [("a", "2:2", "1:2"), ("b", "2:10", "1:12")]


def test_a_network_knows_what_it_has_twice(tmp_path: Path):
    """A repeated key is no fault, and the last one counts, as in libcni; the network says where."""
    file = tmp_path / "my.conf"
    file.write_text('{"cniVersion": "1.0.0", "name": "n", "type": "bridge", "mtu": 1, "mtu": 2}')

    found = conf.network(file)

    assert found.plugins[0]["mtu"] == 2
    assert found.repeated == ("1:66: 'mtu' is given twice, first at 1:56; only the last one counts",)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{\n"name": "n\xe9t"}', ":2:11: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        (gzip.compress(b"{}", mtime=0), ":1:2: the file is compressed by gzip: unpack it first (gunzip)"),
        ("{}".encode("utf-16"), ":1:1: the file is UTF-16; save it as UTF-8"),
        (b"x" * ((1 << 20) + 1), ": cannot be read: it has more than 1 MiB"),
    ],
)
def test_what_is_no_text(tmp_path: Path, raw: bytes, said: str):
    """Bytes of another encoding are placed, and what is too large for a configuration is not read."""
    file = tmp_path / "my.conf"
    file.write_bytes(raw)

    with pytest.raises(ConfigError) as caught:
        conf.network(file)

    assert str(caught.value) == f"{file}{said}"


def test_a_pipe_into_which_nobody_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It is reported; it is not waited for until somebody does."""
    file = tmp_path / "my.conf"
    os.mkfifo(file)
    monkeypatch.setattr(paths, "_PIPE_MS", 10)

    with pytest.raises(ConfigError, match="my.conf: cannot be read: it is a pipe into which nobody writes"):
        conf.network(file)


def test_a_pipe_is_read_to_its_end(tmp_path: Path):
    """A configuration that another program writes is read, slow as that is."""
    file = tmp_path / "my.conf"
    os.mkfifo(file)
    text = json.dumps(BRIDGE)
    writer = threading.Thread(target=lambda: file.write_text(text))
    writer.start()

    found = conf.network(file)

    writer.join(10)
    assert found.name == "n"
