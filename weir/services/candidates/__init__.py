"""Models that are tried: puts the shadow and the canary's keeper together, and says what was found
of them, and what a step will touch.
"""
