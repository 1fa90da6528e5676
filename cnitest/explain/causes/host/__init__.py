"""Causes in the host that a packet is for: its sockets, its answers to ping, its addresses."""
