"""Processes of explanations: the stream explainer, the inline explainer, the sink."""
