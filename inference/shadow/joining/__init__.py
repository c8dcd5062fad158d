"""The second stage of the shadow: shadow scores meet labels when they are mature, exactly once, and
what is found is kept by partition as evidence that adds up.
"""
