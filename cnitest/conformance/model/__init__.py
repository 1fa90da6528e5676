"""The data of conformance: requirements, subjects, profiles, deviations, verdicts, and readers of plugins' documents.

Knows no lab and calls no plugin.
"""
