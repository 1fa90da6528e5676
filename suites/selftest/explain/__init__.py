"""Every cause of a loss: a working topology is broken in one way, and the explanation has to say which."""
