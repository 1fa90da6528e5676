"""Calls CNI plugins the way libcni does, whatever plugin set it is."""
