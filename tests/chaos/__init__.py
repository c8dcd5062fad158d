"""The fault campaign: see docs/chaos.md."""
