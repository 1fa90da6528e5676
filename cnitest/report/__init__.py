"""Puts what a run found into words and pictures for a person."""
