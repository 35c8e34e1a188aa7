"""The command line: each command parses, calls the library, prints and sets the exit code."""
