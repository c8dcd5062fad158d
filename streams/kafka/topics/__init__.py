"""The topics of Weir: how they are made, their partitions, and whether they are still the same."""
