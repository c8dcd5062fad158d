"""What everything rests on: clock, durations and secrets in settings, child processes,
calls that are given up after a while, files written at once, file locks, compiled code.
"""
