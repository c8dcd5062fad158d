"""The store of explanation records: each byte for byte, in a hash chain under signed anchors.

What was stored is never changed. Somebody's records are emptied by `Redactor.redact` alone, and old
ones go by `Retention.purge` alone; each leaves a signed word of it.
"""
