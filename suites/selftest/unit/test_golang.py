"""Documents as libcni leaves them; the expected ones are what it wrote (RT-04, RT-14, RT-20)."""

from __future__ import annotations

import json

import pytest

from cnitest.cni.calls import golang


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (2**53, "9007199254740992"),
        (2**53 + 1, "9007199254740992"),
        (2**60 + 1, "1152921504606847000"),
        (-(2**53) - 1, "-9007199254740992"),
        (2**70, "1.1805916207174113e+21"),
        (7, "7"),
        (True, "true"),
        ({"a": [2**53 + 1, "x"]}, '{"a": [9007199254740992, "x"]}'),
    ],
)
def test_integers_are_rounded_as_in_a_map(given, expected):
    """Beyond 2**53 an integer is the nearest float, in as few digits as tell it apart."""
    assert json.dumps(golang.rounded(given)) == expected


def test_a_document_is_written_as_a_struct():
    """Outer keys keep their order, inner ones are sorted, there are no spaces, and what HTML minds is escaped."""
    document = {"kind": "k", "a": {"b": 1, "a": ["<&>", "ü\u2028"]}, "s": "\ud800"}

    assert golang.written(document) == (
        '{"kind":"k","a":{"a":["\\u003c\\u0026\\u003e","ü\\u2028"],"b":1},"s":"\ufffd"}'
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"cniVersion": "0.2.0", "ip4": {"ip": "192.0.2.5/24", "routes": [{"dst": "0.0.0.0/0", "gw": ""}]}, "x": 1},
            {"cniVersion": "0.2.0", "ip4": {"ip": "192.0.2.5/24", "routes": [{"dst": "0.0.0.0/0"}]}, "dns": {}},
        ),
        (
            {"cniVersion": "0.4.0", "interfaces": [{"name": "a", "mtu": 9}], "ips": [{"address": "192.0.2.5/24"}]},
            {
                "cniVersion": "0.4.0",
                "interfaces": [{"name": "a"}],
                "ips": [{"version": "", "address": "192.0.2.5/24"}],
                "dns": {},
            },
        ),
        (
            {"cniVersion": "1.1.0", "interfaces": [{"name": "a", "mtu": 9, "pciID": ""}], "dns": {"domain": ""}},
            {"cniVersion": "1.1.0", "interfaces": [{"name": "a", "mtu": 9}]},
        ),
        ({"dns": {"nameservers": ["192.0.2.1"]}}, {"cniVersion": "1.0.0", "dns": {"nameservers": ["192.0.2.1"]}}),
    ],
    ids=["0.2.0", "0.4.0", "1.1.0", "none"],
)
def test_a_result_is_reduced_to_its_type(given, expected):
    """Each form of a result keeps what its type has, and what is empty is left out."""
    assert golang.reduced(given, "1.0.0") == expected
