"""Runs a scenario on a bench, step by step, and asks the oracles after each.

Chooses no scenario.
"""
