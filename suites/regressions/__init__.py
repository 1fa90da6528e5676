"""Public bug reports about container networks, each a test of its symptom: who has it, and who is free of it."""
