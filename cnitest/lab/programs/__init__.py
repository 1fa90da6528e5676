"""Programs that stay while a block runs: servers of a test, DHCP. Knows places, not probes."""
