"""Slack: a chat platform, and the presses of its buttons. Needs the extra `slack`."""

from ...errors import ExtraMissing

try:
    from .platform import SlackPlatform
except ImportError as error:
    raise ExtraMissing("SlackPlatform", "slack") from error

from .blocks import Confirm
from .clicks import NotOurs, Press, parse_press
from .signature import is_signed

__all__ = ["Confirm", "NotOurs", "Press", "SlackPlatform", "is_signed", "parse_press"]
