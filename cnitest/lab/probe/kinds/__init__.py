"""The probes: each sends its own packets and knows its own frames. None decides a verdict."""
