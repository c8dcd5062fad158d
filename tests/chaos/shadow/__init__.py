"""The shadow's part of a campaign: its candidates, its faults, and the check of what it said."""
