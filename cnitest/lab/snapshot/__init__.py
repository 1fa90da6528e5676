"""The state of a place as frozen rows, and what changed between two of them. Changes nothing."""
