"""The statements by which a person on call works on the rows that a list has shown, a batch of them at a time.

Returned columns have the names of the fields they fill.

Each row is found by its id, its whole scope and its ask number, so that whoever has asked the id again since then keeps
the new question. Rows that somebody has locked are passed by: a batch that waited for one of them would keep the others
from their clicks.
"""

from typing import LiteralString

from .ending_statements import EXPIRES_AS_ISO, EXTENDED, MAY_BE_EXTENDED, WITHDRAWN
from .lease_statements import REDELIVERED
from .statements import IS_BEFORE_ITS_DEADLINE, LIMITS, OUTCOME, readable
from .trail_statements import trail

_LISTED = """
    with listed as materialized (
        select *
        from unnest(%(ids)s::text[], %(ask_numbers)s::bigint[], %(organization_ids)s::text[],
                    %(connection_ids)s::text[], %(expected_user_ids)s::text[])
             as listed (id, ask_number, organization_id, connection_id, expected_user_id)
    )"""


# The ids once more as an array: by them an index finds the rows, however small the table or old its statistics.
def _held(condition: LiteralString) -> LiteralString:
    return f"""{_LISTED},
    held as materialized (
        select pending.id
        from listed
        join pending_interactions as pending
            using (id, ask_number, organization_id, connection_id, expected_user_id)
        where pending.id = any (%(ids)s) and {condition}
          and {LIMITS}
        for no key update of pending skip locked
    )"""


REDELIVER_LISTED = f"""{_held("claimed_at is not null")},
    queued as (
        update pending_interactions as pending
        set {REDELIVERED}
        from held
        where pending.id = held.id
        returning pending.id, ask_number, organization_id
    ),
    {trail("queued", "'redelivered'")}
    select id, null::timestamptz as expires_at
    from queued
"""

WITHDRAW_LISTED = f"""{_held(f"claimed_at is null and {IS_BEFORE_ITS_DEADLINE}")},
    withdrawn as (
        update pending_interactions as pending
        set {WITHDRAWN}
        from held
        where pending.id = held.id
        returning pending.id, ask_number, organization_id
    ),
    {trail("withdrawn", "'withdrawn'")}
    select id, null::timestamptz as expires_at
    from withdrawn
"""

# As EXTEND it reads the clock when it has the lock.
EXTEND_LISTED = f"""{_held("claimed_at is null and expires_at is not null")},
    extended as (
        update pending_interactions as pending
        set {EXTENDED}
        from held cross join lateral (select clock_timestamp() as now where held.id is not null) as clock
        where pending.id = held.id and {MAY_BE_EXTENDED}
        returning pending.id, ask_number, organization_id, {readable("expires_at")} as expires_at
    ),
    {trail("extended", "'extended'", detail=EXPIRES_AS_ISO)}
    select id, expires_at
    from extended
"""

# A card that shows less than its row: it is due, or its next edit waits, since the last one has failed. Of an open
# question what is due later is mostly that it goes stale, which is not to be shown before its time.
_IS_BEHIND = """(card_due_at <= now()
              or card_due_at is not null
                 and (claimed_at is not null or retired_cards is not null
                      or card_attempts > 0 and expires_at is null and created_at <= now() - %(max_age)s::interval)
              or %(edit_again)s and claimed_at is not null and card is not null) is true"""

# While a pod posts it nobody else does.
_IS_UNPOSTED = "claimed_at is null and posted_at is null and post_due_at is not null"
_IS_TO_BE_POSTED = f"""({_IS_UNPOSTED}
               and (posting_until > now()) is not true and (expires_at <= now()) is not true)"""

# All attempts lie ahead again. Whether one before may have posted the card is kept as one doubt: that many a platform
# that cannot look for it is allowed besides the next, and by it one that can look does (see LEASE_POSTS).
REPAIR_CARDS = f"""{_held(f"({_IS_BEHIND} or {_IS_TO_BE_POSTED})")},
    repaired as (
        update pending_interactions as pending
        set card_due_at = case when {_IS_BEHIND} then now() else card_due_at end,
            card_attempts = case when {_IS_BEHIND} then 0 else card_attempts end,
            post_due_at = case when {_IS_TO_BE_POSTED} then now() else post_due_at end,
            post_attempts = case when {_IS_TO_BE_POSTED} then 0 else post_attempts end,
            post_doubts = case when {_IS_TO_BE_POSTED} then least(post_doubts, 1) else post_doubts end
        from held
        where pending.id = held.id
        returning pending.id, ask_number, organization_id
    ),
    {trail("repaired", "'repaired'")}
    select id, null::timestamptz as expires_at
    from repaired
"""

# Read after one of the above has passed rows by, to explain why; `remedies.PassedBy` has these fields.
LOOK_AT_LISTED = f"""{_LISTED}
    select listed.id, pending.ask_number = listed.ask_number as is_the_listed_asking, {OUTCOME} as ending,
           expires_at <= clock_timestamp() as is_past_its_deadline,
           awaited_until > clock_timestamp() as is_awaited,
           case when {_IS_BEHIND} or {_IS_TO_BE_POSTED} then 'busy'
                when {_IS_UNPOSTED} and posting_until > now() then 'under_way'
                when claimed_at is null and posted_at is null and post_due_at is null then 'by_caller'
                when {_IS_UNPOSTED} then 'expired'
                else 'nothing_to_repair' end as card
    from listed
    left join pending_interactions as pending using (id, organization_id, connection_id, expected_user_id)
"""
