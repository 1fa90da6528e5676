"""A topology in characters. Reads the model alone."""
