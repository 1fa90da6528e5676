"""Frames for a closer look: captured, matched, dissected, written as pcapng. The only package that imports scapy."""
