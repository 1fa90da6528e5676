"""Asks the kernel over rtnetlink: one socket, requests packed by hand. Knows no row and no place."""
