"""The shadow router: candidates beside the champion on the real stream, and verdicts on them."""
