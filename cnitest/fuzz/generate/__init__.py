"""Strategies of Hypothesis: configurations, calls, packets, topologies.

Knows no lab.
"""
