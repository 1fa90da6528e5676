"""Fuzzing: configurations, histories and faults that are generated, and findings that are shrunk to a script."""
