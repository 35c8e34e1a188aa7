"""Event streams as server-sent events: an ASGI application, and the tickets that let a browser in."""
