"""What marks of tests say of plugins: keys that are covered, bug reports, and failures that are known.

It knows pytest and the releases of plugins, and nothing of the conformance suite.
"""
