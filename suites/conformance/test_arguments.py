"""CNI_ARGS, capabilities and runtimeConfig: SPEC sections 2 and 3, CONVENTIONS.md."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("arguments"))
