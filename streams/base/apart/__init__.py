"""Code that nobody has vouched for, or that reads what strangers wrote, in a bounded process.

Apart, it has no more of this machine than `starter` gives it.
"""
