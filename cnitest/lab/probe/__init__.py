"""Probes: what sends packets and measures what became of them."""
