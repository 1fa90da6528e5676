"""Puts what the engine found into words and pictures for a person."""
