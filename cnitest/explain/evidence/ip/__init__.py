"""What IP does with a packet: rules, routes and next hops, translations, what is counted, what is declared."""
