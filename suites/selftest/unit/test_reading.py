"""What plugins print is read whatever it is: a complaint or nothing, never an exception of ours."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cnitest.suites.selftest.unit.malformed import NETNS, NEW, OTHERS, RESULTS, all_of, changed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnitest.cni import result as results
from cnitest.cni.calls.invoke import Call
from cnitest.conformance.model import form, protocol, reading
from cnitest.conformance.observe import truth

PLACE: Any = SimpleNamespace(name="c1", full_name="node/c1", links=(), addresses=(), routes=())
READERS: dict[str, Callable[[Any, str], object]] = {
    "misshapen": form.misshapen,
    "unlike": form.unlike,
    "of_early_versions": lambda document, _: form.of_early_versions(document),
    "missing_families": lambda document, _: form.missing_families(document),
    "surplus_families": lambda document, _: form.surplus_families(document),
    "fields_of_later": lambda document, _: form.fields_of_later(document),
    "sandboxes": lambda document, _: form.sandboxes(document, NETNS, {"cni0"}.__contains__, {"eth0"}.__contains__),
    "indices": lambda document, _: form.indices(document, NETNS),
    "addresses": form.addresses,
    "ips": form.ips,
    "destinations": form.destinations,
    "default_gateways": reading.default_gateways,
    "interfaces": lambda document, _: reading.interfaces(document),
    "untruths": lambda document, version: truth.untruths(document, version, PLACE, PLACE, NETNS, "eth0"),
}


@pytest.mark.parametrize("version", RESULTS)
@pytest.mark.parametrize("name", READERS)
def test_no_result_upsets_a_reader(name: str, version: str):
    """Each part of a result missing, doubled, or of another type: every reader ends, with text where it complains."""
    for case in all_of(RESULTS[version]):
        if isinstance(case.document, dict):
            found = READERS[name](case.document, version)
            assert name in ("default_gateways", "interfaces", "ips") or all(isinstance(text, str) for text in found)  # type: ignore[attr-defined]


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([*map(str, OTHERS), "10.1.0.2/24", "eth0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(_keys(NEW))), inner, max_size=4),
    max_leaves=12,
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from([*NEW, "ip4", "ip6"]), JSON), st.sampled_from(sorted(RESULTS)))
def test_no_drawn_result_upsets_a_reader(document: dict[str, Any], version: str):
    """The same for results that are wrong all over."""
    for read in READERS.values():
        read(document, version)


@pytest.mark.parametrize("version", RESULTS)
def test_a_result_is_read_or_refused(version: str):
    """The strict reader raises ValueError for what libcni cannot decode, and nothing else; so does a relabelled one."""
    for case in all_of(RESULTS[version]):
        if isinstance(case.document, dict):
            with contextlib.suppress(ValueError):
                results.parse(case.document, version)
            with contextlib.suppress(ValueError):
                results.relabelled(case.document, "0.4.0")


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("interfaces", 0, "mac"), 5, "'interfaces' has an entry whose 'mac' is 5, not a string"),
        (("interfaces", 1, "sandbox"), [], "'interfaces' has an entry whose 'sandbox' is [], not a string"),
        (("ips", 0, "gateway"), {}, "'ips' has an entry whose 'gateway' is {}, not a string"),
        (("ips", 0, "interface"), "1", "'ips' has an entry whose 'interface' is \"1\", not a whole number"),
        (("ips", 0, "interface"), True, "'ips' has an entry whose 'interface' is true, not a whole number"),
        (("routes", 1, "gw"), 7, "'routes' has an entry whose 'gw' is 7, not a string"),
    ],
)
def test_what_libcni_cannot_decode_is_reported(path: tuple[Any, ...], value: Any, words: str):
    """A value of another type in a result is a complaint of ADD-02 that says where and what."""
    document = changed(NEW, list(path), "other", value)

    assert form.misshapen(document, "1.0.0") == [f"the result cannot be read: {words}"]


def test_what_can_be_read_is():
    """One address that is none leaves the other to be looked at, and so with gateways, routes and interfaces."""
    document = {
        "ips": [{"address": 5}, {"address": "10.1.0.2/24", "gateway": ["x"]}, "x"],
        "routes": [{"dst": "default"}, {"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, None],
        "interfaces": [{"name": None}, {"name": "eth0", "mac": 7, "sandbox": {}}],
    }

    assert reading.ips(document, "1.0.0") == (results.Ip("10.1.0.2/24"),)
    assert reading.routes(document, "1.0.0") == (results.ResultRoute("0.0.0.0/0", "10.1.0.1"),)
    assert reading.interfaces(document) == (results.Interface("eth0"),)
    assert reading.default_gateways(document, "1.0.0") == {4: {"10.1.0.1"}}


@pytest.mark.parametrize("stdout", [{"code": 4, "msg": "m"}, {"cniVersion": "1.0.0", "supportedVersions": ["1.0.0"]}])
def test_no_answer_upsets_the_check(stdout: dict[str, Any]):
    """Error documents and answers to VERSION with anything wrong are checked like any other."""
    for case in all_of(stdout):
        for code in (0, 1):
            call = answered(json.dumps(case.document), code)
            for ask in (
                protocol.success,
                protocol.rejection,
                protocol.not_defined,
                protocol.words,
                protocol.result_document,
            ):
                ask(call)  # type: ignore[operator]
            protocol.rejection(call, {4}, ["CNI_IFNAME"])
            assert set(reading.versions(protocol.result_document(call))) <= {"1.0.0"}


@pytest.mark.parametrize(
    ("stdout", "said"),
    [
        ('{"code": 4, "msg": "x"}\n{"code": 4, "msg": "x"}', "and prints 2 documents instead of one error document"),
        ("cannot read\n{}", "without an error document"),
        ('{"code": 4, "msg": "x"}\ncannot read', "without an error document"),
        ("[1]", "without an error document"),
        ("", "without an error document: nothing said"),
    ],
    ids=["two documents", "words before", "words after", "a list", "nothing"],
)
def test_two_documents_are_told_from_none(stdout: str, said: str):
    """A failed call that prints several documents, as one that was tried again does, is told so: it has reported."""
    call = answered(stdout, 1)

    assert next(str(found) for found in protocol.rejection(call)).startswith(f"p ADD: fails {said}")


def answered(stdout: str, code: int) -> Call:
    """A call that printed that and ended so."""
    return Call("p", "ADD", "node", (), {}, "{}", stdout.encode(), b"", code, 0.1, False, (), False, False)


@pytest.mark.parametrize(
    ("spelt", "plain"),
    [
        ("FD22:0000:0000::0002/64", "fd22::2/64"),
        ("2001:DB8:0:0:0:0:0:A/112", "2001:db8::a/112"),
        ("10.1.2.3/24", "10.1.2.3/24"),
    ],
)
def test_addresses_are_compared_as_rfc_5952_spells_them(spelt: str, plain: str):
    """An address, a gateway and a destination are the same with more noughts, or in capitals."""
    host, gateway = plain.partition("/")[0], spelt.partition("/")[0]
    document = {
        "cniVersion": "1.0.0",
        "ips": [{"address": spelt, "gateway": gateway}],
        "routes": [{"dst": f"{gateway}/{128 if ':' in spelt else 32}", "gw": gateway}],
    }

    (ip,), (route,) = reading.ips(document, "1.0.0"), reading.routes(document, "1.0.0")

    assert (ip.address, ip.gateway) == (plain, host)
    assert (route.dst.partition("/")[0], route.gw) == (host, host)


def test_a_default_route_is_one_however_it_is_spelt():
    """The way to everywhere of IPv6 may have more noughts."""
    document = {"cniVersion": "1.0.0", "routes": [{"dst": "0:0:0:0:0:0:0:0/0", "gw": "FD22::1"}]}

    assert reading.default_gateways(document, "1.0.0") == {6: {"fd22::1"}}
