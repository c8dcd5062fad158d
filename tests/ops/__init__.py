"""What operators get, checked: names of metrics, rules, runbooks and dashboards.

`make ops-check` runs the rest against a real Prometheus (`python -m tests.ops`).
"""
