"""One system call of a plugin that changes something: it is named, and fails, or the plugin is killed before it.

Knows no sweep over all of them, and nothing of what has to hold afterwards.
"""
