"""Runs programs inside namespaces, watches what they do, and sees that none outlives its lab."""
