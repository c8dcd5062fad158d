"""Daily cohorts of answered events: what is counted of them, and the figures that follow."""
