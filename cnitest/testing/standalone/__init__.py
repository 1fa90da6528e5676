"""Programs that are copied to where a runtime calls them and run by themselves, on Python's own library alone."""
