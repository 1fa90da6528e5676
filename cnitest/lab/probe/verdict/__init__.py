"""From frames and answers to delivered, dropped or unproven. Sends only positive controls."""
