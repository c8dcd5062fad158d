"""Files of events: CSV, Parquet, Arrow and JSON lines, read in columns by the same contract."""
