"""Whether a race's history shows that the laws held. Pure."""
