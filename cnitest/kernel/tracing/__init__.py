"""What the kernel does to packets: what its trace says (for the machine's root), and whether it has handled all."""
