"""Tests of drift as plain functions over counts: evidence that lasts, and effects that matter."""
