"""Causes in sets and maps: an element that is there and ends a packet, or one that lacks and would accept it."""
