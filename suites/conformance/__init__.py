"""What any plugin is held to: one test file a topic, one or more tests a requirement (``cnitest requirements``)."""
