"""The sandbox: a foreign model run in a process of its own, to see what it answers."""
