"""A short slice of ``cnitest fuzz`` from fixed seeds: whatever shows is in ``cnitest/fuzz/search/known.yaml``."""
