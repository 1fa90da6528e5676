"""Causes in what is limited: sizes, hops, queues, and the kernel's tables."""
