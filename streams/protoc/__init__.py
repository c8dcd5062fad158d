"""What runs protoc, in a process apart; `streams.formats` starts it.

A folder of its own, for what a package imports its modules import, too: this one is started for
every schema, and imports little.
"""
