"""Delegation to an IPAM plugin, and what such a plugin answers: SPEC section 4."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("delegation"))
