"""The only package that talks to the kernel: namespaces, netlink, sockets, firewall, sysctl, processes."""
