"""Probes that are under way together: many are sent, then answers are collected; each gets a verdict of its own."""
