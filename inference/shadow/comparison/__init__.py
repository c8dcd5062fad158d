"""Champion and candidate on the same events: how alike they are, and who is right.

An event counts once it is mature: old enough for its label to be known, whenever that came.
"""
