"""Chat platforms: what a pod asks of one, and the adapters."""

from .protocol import Card, ChatPlatform, MessageHandle, NotPosted

__all__ = ["Card", "ChatPlatform", "MessageHandle", "NotPosted"]
