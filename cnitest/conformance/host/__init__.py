"""A host as a profile wants it: its topology, its commands, its daemon.

Knows no plugin's calls and no requirement.
"""
