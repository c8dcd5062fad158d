"""A session of Apache Spark: on this machine, or on a cluster that the settings name.
What it computes is in `streams.spark`."""
