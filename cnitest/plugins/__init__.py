"""What is known of plugins, a file each: ``NAME.yaml``.

Knows no lab and calls no plugin.
"""
