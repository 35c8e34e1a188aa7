"""Rate limits that all pods share."""
