"""The HTTP port of a process: who may ask it, within which bounds, and what it answers.

Metrics, whether the process lives, and whether it is ready.
"""
