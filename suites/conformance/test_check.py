"""CHECK: SPEC section 2, defined since 0.4.0."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("check"))
