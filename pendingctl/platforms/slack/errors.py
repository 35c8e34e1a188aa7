"""What Slack's errors mean: for the card that was to be posted or edited, and for its connection. Pure.

By the lists of errors of chat.postMessage, chat.update, conversations.open and conversations.history (docs.slack.dev,
"chat.postMessage method" and so on). What stands in no list here, such as `fatal_error` and `internal_error`, leaves
it unknown what has happened: those two may have succeeded in part, as the pages say.
"""

from __future__ import annotations

from datetime import timedelta

# The token is refused: whatever else this connection sends would be too.
TOKEN_REFUSED = frozenset(
    {
        "invalid_auth",
        "not_authed",
        "account_inactive",
        "token_revoked",
        "token_expired",
        "not_allowed_token_type",
        "org_login_required",
        "team_added_to_org",
        "two_factor_setup_required",
        "accesslimited",
    }
)
# The token may not do this, and so neither may another card's.
METHOD_REFUSED = frozenset({"missing_scope"})

# Too many, of whatever kind; without a header that says for how long, see NO_RETRY_AFTER.
LIMITED = frozenset({"ratelimited", "rate_limited", "message_limit_exceeded"})

# Nothing was posted, and somebody in the workspace can mend it: the next attempt may succeed.
MENDABLE = frozenset(
    {
        "not_in_channel",
        "ekm_access_denied",
        "messages_tab_disabled",
        "restricted_action",
        "app_access_restricted",
    }
)

# Nothing was posted, and the same would be refused again.
PERMANENT = frozenset(
    {
        "channel_not_found",
        "channel_type_not_supported",
        "is_archived",
        "is_inactive",
        "user_not_found",
        "user_disabled",
        "user_not_visible",
        "cannot_dm_bot",
        "invalid_user_combination",
        "method_not_supported_for_channel_type",
        "cannot_reply_to_message",
        "thread_not_found",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "restricted_action_thread_only_channel",
        "invalid_blocks",
        "invalid_blocks_format",
        "msg_blocks_too_long",
        "msg_too_long",
        "no_text",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_too_large",
    }
)

# No edit of this message can succeed any more.
CARD_GONE = frozenset(
    {
        "message_not_found",
        "cant_update_message",
        "edit_window_closed",
        "channel_not_found",
        "is_archived",
        "is_inactive",
    }
)

# Where Slack limits without saying for how long: the rate of chat.postMessage is one a second and channel.
NO_RETRY_AFTER = timedelta(seconds=5)


class SlackFailed(Exception):
    """A call of Slack's API has failed, and it is unknown what it did."""


class SurelyNothing(SlackFailed):
    """A call has failed, and surely it did nothing."""


class NotSent(SurelyNothing):
    """The request was never sent: no connection was made."""


class Paused(SurelyNothing):
    """Nothing was sent, or nothing was done: the connection's token is refused, or may not do this."""

    def __init__(self, reason: str, retry_after: timedelta) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RateLimited(SurelyNothing):
    """Slack wants to be left alone for `retry_after`."""

    def __init__(self, reason: str, retry_after: timedelta) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class Refused(SurelyNothing):
    """Slack has refused the call with an error of MENDABLE, PERMANENT or CARD_GONE."""

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason)
        self.code = code
