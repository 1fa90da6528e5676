"""The packet filter over netlink: its tables as they are, which rules packets meet, and how these are written."""
