"""Configurations with one thing wrong: whole, and none left out."""

from __future__ import annotations

import json

from cnitest.conformance.observe import mutation


def test_every_mutation_is_another_configuration():
    """Each change is a whole configuration of its own with its words, and the original stays as it is."""
    conf = {
        "name": "n",
        "cniVersion": "1.0.0",
        "type": "x",
        "mtu": 1400,
        "ipam": {"type": "y", "subnet": "10.0.0.0/24"},
    }
    kept = json.dumps(conf)
    changes = [*mutation.of(conf), *mutation.wrong_values(conf), *mutation.wrong_words(conf)]

    assert all(change.document != conf and change.words for change in changes)
    assert {"mtu", "ipam", "subnet"} <= {change.key for change in changes}
    assert all(change.document["name"] == "n" and change.document["type"] == "x" for change in changes)
    assert json.dumps(conf) == kept


def test_every_key_of_a_large_configuration_is_tried():
    """However many keys there are, each gets a value of another type, and not all of them the same one."""
    conf = {"name": "n", "type": "x", **{f"key{number}": "text" for number in range(100)}}
    wrong = [change for change in mutation.of(conf) if "without" not in change.words]

    assert {change.key for change in wrong} == conf.keys() - {"name", "type"}
    assert len({json.dumps(change.value) for change in wrong if change.key > "key5"}) == 4
    assert len(wrong) < 150


def test_every_key_of_a_small_configuration_is_tried_with_every_type():
    """Null, a text, a number, a list and an object, but for what it is."""
    wrong = [change.value for change in mutation.of({"mtu": 1400}) if "without" not in change.words]

    assert wrong == [None, "cnitest-wrong", [], {}]


def test_an_address_is_replaced_however_it_is_spelt():
    """Wherever it stands as a whole value; a text that is no address is one as it is written."""
    document = {"ips": [{"address": "FD22:0:0::2/64", "gateway": "fd22:0::1"}], "sandbox": "/run/netns/c1"}

    found = mutation.replaced(document, "fd22::2/64", "fd22::9/64")

    assert found == {**document, "ips": [{"address": "fd22::9/64", "gateway": "fd22:0::1"}]}
    assert mutation.replaced(document, "fd22::1", "fd22::8")["ips"][0]["gateway"] == "fd22::8"
    assert mutation.replaced(document, "/run/netns/C1", "x") == document
