"""The exactly-once loop for tasks without windows: any share of the partitions, state by key."""
