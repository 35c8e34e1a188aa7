"""What facts mean, and what to do about them. Pure: no I/O, no clock, no SQL."""
