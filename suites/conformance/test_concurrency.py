"""Many at once, and killed in the middle: SPEC section 3."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("concurrency"))
