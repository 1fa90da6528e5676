"""Reads and writes the words of ip(8): addresses, symbols, one-line notation. Knows no model of a place."""
