"""Looks for scenarios that violate a rule, makes them smaller, keeps and writes them down."""
