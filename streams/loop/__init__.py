"""What exactly-once loops share: how a run begins and ends, and their membership in a group."""
