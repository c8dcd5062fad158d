"""Replay: files sent to the events topic at their own pace or faster."""
