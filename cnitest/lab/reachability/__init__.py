"""Reachability of many places: a matrix of who reaches whom by which probe, and truth tables to compare it with."""
