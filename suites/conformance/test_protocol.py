"""How a plugin is called and how it answers: SPEC section 2, and the errors of section 5."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("protocol"))
