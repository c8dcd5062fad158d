"""The archive: feature log, scores and labels as Delta Lake tables of Parquet files, for good."""
