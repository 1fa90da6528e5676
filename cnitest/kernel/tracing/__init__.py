"""What the kernel says of each packet it handles or frees, by a tracefs instance of this process. Needs real root."""
