"""The route stage: each event and label to the partitions of its entities."""
