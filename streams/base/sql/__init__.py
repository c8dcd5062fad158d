"""Databases that settings name by a URL: SQLite, or PostgreSQL."""
