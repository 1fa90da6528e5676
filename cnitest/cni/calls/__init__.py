"""One call of a plugin, and a list of them in order: what goes in, what comes out, who waits for whom."""
