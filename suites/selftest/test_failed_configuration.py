"""A failed test shows what is wrong in the configurations that it used: mostly a key with a letter too few."""

from __future__ import annotations

import json

import pytest

from cnitest.errors import PluginError
from cnitest.report import failure_report

pytestmark = [pytest.mark.topology("bridge-walkthrough"), pytest.mark.requires(plugin=("bridge", "host-local"))]
CONF = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "bridge": "b0",
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.9.0.0/24"}]]},
}


def _shown(lab):
    """The lines of the section about configurations."""
    return dict(failure_report.sections(lab)).get("cnitest: configuration", "").splitlines()


def test_a_mistyped_key_is_shown_once(lab, cni):
    """Its file or its network is named, however often it was added."""
    for ifname in ("eth8", "eth9"):
        cni.add(lab.sandbox("ns01"), CONF | {"isGatway": True}, ifname)

    assert _shown(lab) == ["network net: bridge has no key 'isGatway', and ignores it; did you mean 'isGateway'?"]


def test_a_value_that_is_not_accepted_is_shown_with_the_file(lab, cni, tmp_path, monkeypatch):
    """Also where ADD failed, so that nothing was attached."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.conf").write_text(json.dumps(CONF | {"mtu": "1400"}))

    with pytest.raises(PluginError):
        cni.add(lab.sandbox("ns01"), "net.conf", "eth9")

    expected = 'is the text "1400", and a whole number, without quotes, is expected; did you mean 1400?'
    assert _shown(lab) == [f"net.conf: bridge: 'mtu' {expected}"]


def test_a_configuration_without_a_fault_has_no_section(lab, cni):
    """Nothing is invented."""
    cni.add(lab.sandbox("ns01"), CONF, "eth9")

    assert _shown(lab) == []
