"""What a plugin may get and no runtime would send: other variables, other bytes, JSON that is strange."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from cnitest.cni import spec
from cnitest.cni.spec import Document

#: Variables that have to be rejected (SPEC section 2), and what is wrong with them.
_REJECTED: tuple[tuple[str, dict[str, str]], ...] = (
    ("an empty container ID", {"CNI_CONTAINERID": ""}),
    ("a container ID with a slash", {"CNI_CONTAINERID": "../x"}),
    ("a container ID that begins with a hyphen", {"CNI_CONTAINERID": "-a"}),
    ("an interface name of 16 characters", {"CNI_IFNAME": "sixteen-letters0"}),
    ("an interface name with a slash", {"CNI_IFNAME": "a/b"}),
    ("an interface name with a space", {"CNI_IFNAME": "a b"}),
    ("an interface name with a colon", {"CNI_IFNAME": "a:1"}),
    ("an empty interface name", {"CNI_IFNAME": ""}),
    ("an interface name of dots", {"CNI_IFNAME": ".."}),
    ("a namespace that is not there", {"CNI_NETNS": "/run/netns/nobody"}),
    ("a namespace that is a directory", {"CNI_NETNS": "/run"}),
    ("an empty namespace", {"CNI_NETNS": ""}),
    ("a command that there is not", {"CNI_COMMAND": "FETCH"}),
)
#: Variables that a plugin may take or reject.
_EDGES: tuple[dict[str, str], ...] = (
    {"CNI_IFNAME": "eth%d"},
    {"CNI_IFNAME": "fifteen-letters"},
    {"CNI_IFNAME": "ä"},
    {"CNI_IFNAME": "lo"},
    {"CNI_IFNAME": "all"},
    {"CNI_CONTAINERID": "a" * 200},
    {"CNI_CONTAINERID": "10.1.0.2"},
    {"CNI_CONTAINERID": "0.1_2-3"},
    {"CNI_ARGS": ""},
    {"CNI_ARGS": "K8S"},
    {"CNI_ARGS": "IP=10.1.0.7"},
    {"CNI_ARGS": "IgnoreUnknown=true;IP=nowhere"},
    {"CNI_ARGS": "IgnoreUnknown=1;MAC=zz"},
    {"CNI_ARGS": "IgnoreUnknown=1;GATEWAY=10.1.0.1"},
    {"CNI_PATH": ""},
    {"CNI_PATH": "/nowhere"},
)
_HUGE = 1 << 63


def environments(validity: str) -> SearchStrategy[tuple[str, dict[str, str]]]:
    """Variables other than a runtime's, with what is wrong: "invalid" has to be rejected, "boundary" may be."""
    if validity == "invalid":
        return st.sampled_from(_REJECTED)
    return st.sampled_from(_EDGES).map(lambda row: (", ".join(f"{key}={value!r}" for key, value in row.items()), row))


def stdin_bytes() -> SearchStrategy[bytes]:
    """Standard input that is no configuration, and has to be rejected: no JSON, or JSON of another kind."""
    texts = st.text(max_size=20).map(str.encode).filter(_is_no_object)
    return st.one_of(st.sampled_from(_NO_OBJECTS), texts, st.binary(max_size=20).filter(_is_no_object))


_NO_OBJECTS = (b"", b"{", b"[]", b"null", b'"text"', b"7", b"{}}", b"\x00\xff", b'{"type": }', b"{" * 99)


def _is_no_object(data: bytes) -> bool:
    try:
        return not isinstance(json.loads(data), dict)
    except (ValueError, RecursionError):
        return True


@st.composite
def unusual_bytes(draw: st.DrawFn, document: Document) -> bytes:
    """A document as JSON that is strange, but perhaps readable: keys twice, other case, depth, numbers, text."""
    text = json.dumps(document)
    kind = draw(st.sampled_from(_KINDS))
    if kind == "twice":
        key = draw(st.sampled_from(sorted(document)))
        return (text[:-1] + f", {json.dumps(key)}: {json.dumps(draw(_VALUES))}}}").encode()
    if kind == "case":
        key = draw(st.sampled_from(sorted(document)))
        return json.dumps({(name.upper() if name == key else name): value for name, value in document.items()}).encode()
    if kind == "deep":
        return (text[:-1] + ', "deep": ' + "[" * 2000 + "]" * 2000 + "}").encode()
    if kind == "unknown":
        return json.dumps({**document, draw(st.text(max_size=8)): draw(_VALUES)}).encode()
    if kind == "bytes":
        return text.encode().replace(b'"type"', b'"ty\xffpe": 1, "type"', 1)
    if kind == "space":
        return b"\xef\xbb\xbf" * draw(st.integers(0, 1)) + b"\n\t " + text.encode() + b"\n\n"
    return json.dumps({**document, draw(st.sampled_from(sorted(document))): draw(_VALUES)}).encode()


_KINDS = ("value", "twice", "case", "unknown", "deep", "bytes", "space")
_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 1.5, 1e300, _HUGE, -_HUGE, "", "\x00", "\U0001f4a9", [], {}, [None], {"a": {}}]),
)


@st.composite
def prev_results(draw: st.DrawFn, version: str = "1.0.0") -> tuple[bool, Any]:
    """A previous result and whether it is right: one interface with an address, or that with one thing wrong."""
    address: dict[str, Any] = {"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0}
    if not spec.at_least(version, "1.0.0"):
        address["version"] = "4"
    right: dict[str, Any] = {
        "cniVersion": version,
        "interfaces": [{"name": "eth0", "mac": "02:00:5e:00:53:01", "sandbox": "/run/netns/c1"}],
        "ips": [address],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {},
    }
    if draw(st.booleans()):
        return True, right
    wrong: tuple[Any, ...] = (
        None,
        [],
        "text",
        {},
        {**right, "ips": [{**address, "interface": 7}]},
        {**right, "ips": [{**address, "address": "nowhere"}]},
        {**right, "ips": "none"},
        {**right, "interfaces": []},
        {**right, "interfaces": [{}]},
        {**right, "cniVersion": "9.9.9"},
        {**right, "routes": [{"dst": "nowhere"}]},
    )
    return False, draw(st.sampled_from(wrong))
