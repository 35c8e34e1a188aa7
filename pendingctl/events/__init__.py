"""Event streams: ordered, durable, appended to by any pod and read from any pod."""
