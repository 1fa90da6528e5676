"""Whether a topology can be built: one module a subject, over one survey. Touches no kernel."""
