"""For whoever runs Weir: rules of alerts, dashboards, and examples for Prometheus and Alertmanager.

Data files, and the script that writes the dashboards.
"""
