"""Fault injection: each changing system call of a plugin fails once in each way; what follows is checked."""
