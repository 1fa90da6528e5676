"""Another kernel, in seconds: a guest boots over this machine's files and runs one command."""
