"""Engines: the CPU's, the choice between backends, the golden batch, the benchmark."""
