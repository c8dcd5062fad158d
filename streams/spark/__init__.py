"""Features of more events than one machine holds, by Apache Spark: the same kernels, spread out.
What executors run is plain functions of Arrow tables; `weir.spark` opens the session."""
