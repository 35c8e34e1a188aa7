"""Rate limits that all pods share, kept in Postgres."""

from .limiter import IfUnreachable, RateLimiter
from .model import Decision, Limit

__all__ = ["Decision", "IfUnreachable", "Limit", "RateLimiter"]
