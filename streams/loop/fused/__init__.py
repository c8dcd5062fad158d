"""The exactly-once loop of a process that has all partitions and their state, and its recovery."""
