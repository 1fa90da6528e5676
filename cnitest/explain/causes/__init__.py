"""The causes of losses, a family a module; each is a function from a lost packet to what it found.

Reads evidence alone: sends nothing and changes nothing.
"""
