"""Losses of performance as episodes, by the days that all partitions are through with."""
