"""Explanations: LIME, reasons in words, explanation records, and the audit log that keeps them."""
