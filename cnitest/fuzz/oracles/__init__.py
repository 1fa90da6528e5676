"""What has to hold after a step: models of plugins, effects, packets.

Looks; takes no step.
"""
