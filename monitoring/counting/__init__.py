"""Counting what the feature log holds, over fixed bins: sums that add up over partitions."""
