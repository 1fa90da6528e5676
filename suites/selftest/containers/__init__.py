"""Containers as runtimes make them, without any: namespaces, capabilities, seccomp, what is read-only and masked."""
