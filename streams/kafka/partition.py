"""How a partition is named."""

from collections.abc import Collection

PartitionId = tuple[str, int]
"""Topic and number."""

PartitionIds = Collection[PartitionId]
