"""From configurations and profiles to subjects: what a plugin is, by asking it and by its first ADD.

Holds it to no requirement.
"""
