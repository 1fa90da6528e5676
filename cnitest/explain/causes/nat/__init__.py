"""Causes in the translation of addresses: sources that nobody can answer, destinations that lead nowhere, replies."""
