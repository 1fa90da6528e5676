"""STATUS: SPEC section 2, defined since 1.1.0."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("status"))
