"""VERSION: SPEC section 2 and the version document of section 5."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("version"))
