"""Weak labels: what analysts' rules say of events that have no label yet, and how right they are.

Votes of the rules, counts of their patterns, and the rates of Dawid and Skene fitted to them.
"""
