"""What happened in a race, and its files."""
