"""Exactly-once loops: the fused scorer's, what restores its state, and its group membership."""
