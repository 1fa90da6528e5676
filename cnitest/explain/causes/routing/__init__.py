"""Causes in the routing decision: no route, routes that refuse, forwarding off, sources that are not believed."""
