"""Processes of the bench's own: each is started with its file, and reads and prints lines."""
