"""What is held open over a lab: connections, and how much gets through."""
