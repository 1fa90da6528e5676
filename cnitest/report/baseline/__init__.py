"""Findings that are accepted for now, by cause: a file of them, and what a run makes of it.

Decides no verdict: a finding is one first, and then looked up.
"""
