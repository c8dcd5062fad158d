"""Processes that run for good: `weir score`, `explainer`, `sink`, and `up` over them."""
