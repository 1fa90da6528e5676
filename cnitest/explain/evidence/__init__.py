"""What shows where a packet went and what ended it: frames, states of places, rules, the kernel's own trace.

Decides nothing: each module only observes.
"""
