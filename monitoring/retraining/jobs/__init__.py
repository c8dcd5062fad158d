"""Retraining jobs: what one is told, and who runs it.

This machine, Kubernetes, or an orchestrator that reads a topic.
"""
