"""The thin ASGI service that takes requests in."""
