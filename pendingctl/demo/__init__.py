"""The try-out of `pendingctl serve` on loopback, with a Slack of its own."""
