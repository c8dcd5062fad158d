"""Candidates tried on live traffic, beside the champion and without a say.

They score the very vectors that the champion saw, out of the feature log, each in a process of its
own: one that crashes, hangs or takes all memory takes nobody along.
"""
