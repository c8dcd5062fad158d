"""Alarms on their way out: a webhook that never holds up the process that raises them."""
