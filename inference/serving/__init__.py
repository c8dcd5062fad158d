"""Serving: the scorer's task, policy, deadlines, hot swaps and the commands that ask for them."""
