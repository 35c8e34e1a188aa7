"""simulate-race --streams: pods write streams and read them, and a checker judges whether anything was lost."""
