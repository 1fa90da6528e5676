"""Where one plugin is tried: a fresh lab, calls as a runtime makes them, every step kept, leftovers found.

Knows no requirement.
"""
