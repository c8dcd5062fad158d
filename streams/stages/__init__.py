"""The staged topology: features of further entities without one process that owns everything.

`route` sends each event to where its entities are kept, `entity` computes the windows of one
entity, `join` brings the parts together in the order of the source, and `worker` runs a task for
each partition. Each is a function of the partitions that it reads; see docs/topology.md.
"""
