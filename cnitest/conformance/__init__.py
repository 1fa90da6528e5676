"""Holds any plugin binary to the CNI specification, a sentence at a time."""
