"""Checks of what becomes of an attachment: made, looked at, checked, deleted, collected, used.

Each decides one requirement; none knows who runs it.
"""
