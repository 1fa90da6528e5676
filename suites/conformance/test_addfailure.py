"""A failing ADD: SPEC section 2 for what it leaves, section 4 for its delegates."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("addfailure"))
