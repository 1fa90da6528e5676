"""A short slice of ``cnitest fuzz`` from fixed seeds: whatever shows must be known (``cnitest/fuzz/search/known.yaml``)."""
