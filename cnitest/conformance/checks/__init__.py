"""How each requirement is decided: plain functions in a registry, which the suite, fuzzing and the commands ask.

Knows benches and what is seen there; knows no pytest, and not how a verdict is made of complaints.
"""
