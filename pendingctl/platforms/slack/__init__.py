"""Slack: a chat platform, and the presses of its buttons. Needs the extra `slack`."""

from ...errors import ExtraMissing

try:
    from .platform import SlackPlatform
except ImportError as error:
    raise ExtraMissing("SlackPlatform", "slack") from error

from .blocks import Confirm

__all__ = ["Confirm", "SlackPlatform"]
