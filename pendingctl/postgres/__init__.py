"""Postgres as the driver gives it: connections, connection strings, errors."""
