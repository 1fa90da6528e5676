"""Causes between two IP hops: links, bridges and their ports, macvlans, and neighbours that do not answer."""
