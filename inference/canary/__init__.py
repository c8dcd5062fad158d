"""The canary's keeper: steps it up while all is well, and rolls it back where it is not.

A canary is the first arm of an experiment; see `inference.control.canary`.
"""
