"""Packets: what an attachment is for."""

from cnitest.fixtures.conformance import as_tests

globals().update(as_tests("traffic"))
