"""Compiled kernels of the feature windows (numba): blocks of an entity's events, window
scans, tiles, eviction, and the journal that takes an aborted batch back.
"""
