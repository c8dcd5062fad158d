"""The hands of the retraining controller: what it sees of the archive, registry and control topic.

And what it does: jobs, candidates, and records of what was decided and why.
"""
