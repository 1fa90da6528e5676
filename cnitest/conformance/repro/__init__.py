"""Writes a recorded bench as a shell script that a person can run.

Reads the record alone; calls nothing.
"""
