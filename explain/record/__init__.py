"""The explanation record: its parts, its JSON Schema, reasons as they stand in it."""
