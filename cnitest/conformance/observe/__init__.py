"""What shows after a call: truth of a result, packets, capabilities, tampering.

Looks through a bench; decides no requirement.
"""
