"""What the monitor counted and said in a campaign: its faults, and what has to be true then."""
