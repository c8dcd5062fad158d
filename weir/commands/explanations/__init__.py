"""Explanations: finding and showing them, reasons, tokens, labels, and the audit of their store."""
