"""Checks of one call: its variables and input, what it prints, what it passes on.

Each decides one requirement; none knows who runs it.
"""
