"""What plugins are held to, and (in ``selftest``) what cnitest itself is held to."""
