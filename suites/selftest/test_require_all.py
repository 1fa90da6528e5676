"""``--cni-require-all``: whatever way a test was skipped, it fails with the reason; what is expected stays."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

CONFTEST = """
import pytest
from cnitest.errors import FeatureMissing
from cnitest.explain.lab import Lab

def lacking(self):
    raise FeatureMissing("why: the kernel of this lab", ["vxlan"])

Lab._require_features = lacking
"""
KINDS = """
import unittest
import pytest

@pytest.mark.skip(reason="why: mark")
def test_mark(): pass

@pytest.mark.skipif(True, reason="why: markif")
def test_markif(): pass

@pytest.fixture
def setup(): pytest.skip("why: fixture")

def test_fixture(setup): pass

@pytest.fixture
def teardown():
    yield
    pytest.skip("why: teardown")

def test_teardown(teardown): pass

def test_call(): pytest.skip("why: call")

def test_importorskip(): pytest.importorskip("no_such_module")

@pytest.mark.parametrize("n", [])
def test_no_values(n): pass

@pytest.mark.skip(reason="why: class")
class TestClass:
    def test_in_class(self): pass

class TestUnit(unittest.TestCase):
    @unittest.skip("why: unittest")
    def test_unittest(self): pass
    def test_skiptest(self): self.skipTest("why: skiptest")

class TestSetUpClass(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise unittest.SkipTest("why: setupclass")
    def test_setupclass(self): pass

@pytest.mark.requires(binary="no-such-program")
def test_requires_binary(): pass

@pytest.mark.requires(plugin="no-such-plugin")
def test_requires_plugin(): pass

def test_kernel(lab): pass

@pytest.mark.xfail(reason="known")
def test_expected(): assert 0

@pytest.mark.xfail(reason="known", run=False)
def test_not_run(): assert 0

def test_expected_at_last(): pytest.xfail("known")
"""
MODULES = {
    "test_module": "import pytest\npytest.skip('why: module', allow_module_level=True)\n",
    "test_marked": "import pytest\npytestmark = pytest.mark.skip(reason='why: marked')\ndef test_in_marked(): pass\n",
    "test_import": "import pytest\npytest.importorskip('no_such_module')\n",
    "test_set_up": "import pytest\ndef setup_module(): pytest.skip('why: set_up')\ndef test_in_set_up(): pass\n",
    "test_raises": "import unittest\nraise unittest.SkipTest('why: raises')\n",
}
#: What each must say, by its name where that is not what is behind ``why:``.
REASONS = {
    "importorskip": "could not import 'no_such_module'",
    "import": "could not import 'no_such_module'",
    "no_values": "empty parameter set",
    "in_class": "why: class",
    "in_marked": "why: marked",
    "in_set_up": "why: set_up",
    "requires_binary": "no program 'no-such-program'",
    "requires_plugin": "no-such-plugin",
    "kernel": "why: the kernel of this lab",
}


@pytest.fixture(scope="module", params=["0", "2"])
def messages(request, tmp_path_factory):
    """Of each test the words of its failure or error, or of its expected failure, by its name without ``test_``."""
    place = tmp_path_factory.mktemp("kinds")
    for name, source in {**MODULES, "conftest": CONFTEST, "test_kinds": KINDS}.items():
        (place / f"{name}.py").write_text(source)
    options = ["-p", "no:cacheprovider", "-n", request.param, "--junitxml", "j.xml", "--continue-on-collection-errors"]
    command = [sys.executable, "-m", "pytest", "--cni-require-all", *options]

    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=place, timeout=300)

    assert done.returncode == 1, done.stdout + done.stderr
    found = {}
    for case in ET.parse(place / "j.xml").getroot().iter("testcase"):
        name = case.get("name").partition("[")[0].rpartition(".")[2].removeprefix("test_")
        found[name] = [f"{one.tag}: {one.get('message')} {one.text or ''}" for one in case if one.tag != "properties"]
    return found


KIND_NAMES = [
    *(name for name in re.findall(r"def test_(\w+)", KINDS) if not name.startswith(("expected", "not_run"))),
    *("module", "in_marked", "import", "in_set_up", "raises"),
]


@pytest.mark.parametrize("kind", KIND_NAMES)
def test_it_fails_with_its_reason(messages, kind):
    """As a failure, or an error of setup, teardown or collection."""
    said = " ".join(messages[kind])

    assert "skipped, which --cni-require-all does not allow" in said
    assert said.startswith(("failure: ", "error: "))
    assert REASONS.get(kind, f"why: {kind}") in said


@pytest.mark.parametrize("kind", ["expected", "not_run", "expected_at_last"])
def test_an_expected_failure_stays_one(messages, kind):
    """It is no lack of anything."""
    assert messages[kind][0].startswith("skipped: ")


def test_what_does_not_apply_to_a_plugin_stays(tmp_path):
    """Nor does a requirement that is not about it lack anything."""
    from cnitest.fixtures.faulty import HONEST

    command = [sys.executable, "-m", "cnitest.cli", "run", "--cni-path", str(HONEST), str(HONEST / "wire.yaml")]
    wanted = [
        "--requirement",
        "ADDF-c",
        "--requirement",
        "DEL-17",
        "--cni-version",
        "1.1.0",
        "--require-all",
        "-n",
        "1",
    ]

    done = subprocess.run([*command, *wanted], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=300)

    assert done.returncode == 0, done.stdout
    assert "does not allow" not in done.stdout
    assert "not applicable" in done.stdout
