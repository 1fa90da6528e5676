"""cnitest's own tests."""
