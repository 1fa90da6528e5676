"""DEL: SPEC section 2."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("del"))
