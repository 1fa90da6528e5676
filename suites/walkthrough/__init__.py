"""The main job, step by step: hand-made networks first, then the same with real plugins."""
