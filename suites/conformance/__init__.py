"""Checks any plugin against the specification: a module a topic, a test for each check of the registry."""
