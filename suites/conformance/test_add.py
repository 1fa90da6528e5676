"""ADD: SPEC section 2, and its result, section 5."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("add"))
