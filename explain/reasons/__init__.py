"""Reasons in words: the catalogue, its checks, and the writer of at most four of them."""
