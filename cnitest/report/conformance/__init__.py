"""The report of a conformance run: heading, progress, causes, table, JSON.

Decides no verdict.
"""
