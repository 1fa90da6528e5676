"""Fuzzing: configurations, sequences and faults that are generated, and findings that are shrunk to a script."""
