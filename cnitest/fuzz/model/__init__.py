"""The data of fuzzing: examples, scenarios, violations, keys of known plugins.

Runs nothing.
"""
