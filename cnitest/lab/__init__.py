"""Builds a topology and lends it out: hosts and sandboxes, probes, captures, snapshots of state."""
