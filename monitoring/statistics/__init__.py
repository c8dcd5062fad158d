"""Tests of drift as plain functions over counts: evidence that holds for ever, effects that matter."""
