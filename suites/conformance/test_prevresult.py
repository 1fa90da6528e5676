"""prevResult and lists of plugins: SPEC sections 2 and 3."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("prevresult"))
