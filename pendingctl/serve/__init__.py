"""A pod over HTTP: `pendingctl serve`. Needs the extra `server`."""
