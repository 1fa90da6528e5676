"""What a container's runtime, or this machine's settings, keep from this process. Reads, and changes nothing."""
