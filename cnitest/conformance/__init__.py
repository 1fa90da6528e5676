"""Checks any plugin binary against the CNI specification, a sentence at a time."""
