"""Fault injection: each system call of a plugin that changes something fails once in each way; what follows is judged."""
