"""Why a packet was lost: evidence is gathered while the probe is sent once more, and causes are recognised in it.

A cause is recognised, never guessed: what no evidence shows is "not found". Changes no verdict.
"""
