"""The store of explanation records: each byte for byte, in a hash chain under signed anchors.

What was stored is never changed. Personal data is erased by destroying the key of its tokens, and
old records go by `Retention.purge` alone, which leaves a signed word of it.
"""
