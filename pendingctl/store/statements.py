"""The statements by which questions are claimed and deleted, and what several statements share.

Returned columns have the names of the fields they fill.

Each statement of the claim path carries the id, so that an engine that shards by primary key sends it to one shard.
Nothing relies on a row's place (ctid), and every time is the database's.

A statement that may wait long for a row's lock locks the row first, in `held`, and then reads the clock: what a
statement computes before it waits is kept when the other transaction rolls back or has only locked the row, and a lease
would begin before its time (PostgreSQL manual, section 13.2.1).

What a statement does it leaves in the trail as well, in the same statement: neither is there without the other.
"""

from .trail_statements import trail

# Set within the statement, which also holds behind a pooler in transaction mode, and ends with its transaction.
# No wait for a lock is longer than the caller's limit, and a commit waits for the disk whatever a role, a database or a
# pooler say: only `off` is raised, and a stricter level stays (manual, section 19.5 "synchronous_commit"). A condition
# on the row that is about to be written; a table of one row beside it makes a claim cost the server 5 % more.
LIMITS = """case when %(lock_timeout)s::text is null then true
                 else set_config('lock_timeout', %(lock_timeout)s, true) is not null end
          and case when current_setting('synchronous_commit') <> 'off' then true
                   else set_config('synchronous_commit', 'on', true) is not null end"""


def readable(time: str) -> str:
    """Return a time as Python can hold it: `infinity` and years after 9999 must not break what reads the row."""
    return f"""case when {time} is not null
                then least(greatest({time}, '0001-01-02 00:00+00'), '9999-12-30 00:00+00') end"""


# What Python cannot hold, or would lead beyond all times, is taken for the longest that a put accepts.
REMIND_EVERY = "case when remind_every is not null then least(greatest(remind_every, '0'), interval '3653 days') end"

# How a row's question has ended; null while it is open. Clicks and withdrawals leave the column alone, and any other
# word in it is somebody else's.
OUTCOME = """case when pending.claimed_at is null then null
                 when pending.outcome in ('defaulted', 'expired') then pending.outcome
                 when pending.withdrawn_at is not null then 'withdrawn'
                 else 'answered' end"""

# What was appended to the question's stream is behind what the row holds: 1 stands for its card, 2 for its ending. It
# follows from what every statement writes, also of pods of the version before, and is the condition of an index.
EVENTS_WAIT = """(former_endings is not null
               or stream is not null
                  and stream_appended < case when claimed_at is not null then 2
                                             when posted_at is not null then 1 else 0 end)"""
ENDING_IS_TO_BE_APPENDED = """(former_endings is not null
               or stream is not null and claimed_at is not null and stream_appended < 2)"""


def accepts(value: str) -> str:
    """Return whether a value is one of the question's options, or it has none."""
    return f"""(entry_payload #> '{{question,options}}' ? {value}
               or jsonb_typeof(entry_payload #> '{{question,options}}') is distinct from 'array'
               or entry_payload #> '{{question,options}}' = '[]')"""


# The text of the option whose button was pressed, in the row as it is claimed; null where there is none. A text has an
# element 0 as well, itself.
_OPTIONS = "entry_payload #> '{question,options}'"
_OPTION = f"""case when jsonb_typeof({_OPTIONS}) = 'array'
                    and jsonb_typeof({_OPTIONS} -> %(option)s::integer) = 'string'
                   then {_OPTIONS} ->> %(option)s::integer end"""
_IS_BY_VALUE = "%(option)s::integer is null"
_ANSWER = f"case when {_IS_BY_VALUE} then %(answer)s else {_OPTION} end"

# Past its deadline an open question is ended first.
IS_BEFORE_ITS_DEADLINE = "(expires_at > clock_timestamp()) is not false"


# The user whom the question asks, and another one once it is escalated.
MAY_ANSWER = """(expected_user_id = %(user_id)s
               or escalate_to = %(user_id)s and escalate_at <= clock_timestamp())"""

_IS_OPEN_FOR_THE_CLICK = f"""id = %(id)s
          and organization_id = %(organization_id)s
          and connection_id = %(connection_id)s
          and {MAY_ANSWER}
          and application = %(application)s
          and claimed_at is null
          and (%(ask_number)s::bigint is null or ask_number = %(ask_number)s)
          and case when {_IS_BY_VALUE} then {accepts("%(answer)s")} else ({_OPTION}) is not null end
          and {LIMITS}"""


def _won(now: str, is_awaited: str) -> str:
    # By its own clock the click came before the deadline.
    return f"""claimed_at = least({now}, expires_at), answer = {_ANSWER},
        delivery_key = %(delivery_key)s, answered_by = %(answered_by)s, pod = %(pod)s,
        delivery_due_at = case when %(lease)s::interval is not null
                               then case when {is_awaited} then awaited_until else {now} + %(lease)s::interval end end,
        lease_token = case when {is_awaited} then null else %(lease_token)s::uuid end,
        delivery_attempts = case when %(lease_token)s::uuid is null or {is_awaited} then 0 else 1 end,
        delivery_error = null,
        delivered_at = case when %(lease)s::interval is null then {now} end,
        withdrawn_at = null,
        card_due_at = case when card is not null then {now} + coalesce(%(lease)s::interval, '0') end,
        card_attempts = 0"""


_CLAIM = """pending.id, ask_number, expected_user_id, entry_payload::text as payload, answer as value, claimed_at,
                  lease_token, card::text as card, organization_id"""
_ANSWERED = {
    "user_id": "%(answered_by)s",
    "attempt": "case when lease_token is not null then 1 end",
    "detail": "%(reason)s::text",
}
_WON = f"""{trail("won", "'answered'", **_ANSWERED)}
    select id, ask_number, expected_user_id, payload, value, claimed_at, lease_token, card
    from won"""

# The winning click is the one that finds the row unclaimed. Postgres locks the row, and whoever waited for the lock
# looks at the new version again, so of any number of concurrent clicks exactly one gets a row back. Never select first.
#
# From then on the row is the truth about the answer. With a lease it is undelivered until it is marked, and whoever
# holds the token delivers it; without one the caller takes it. While somebody waits to read it no pod delivers it, and
# no longer than that: whoever waits may have died. After the deadline no click wins, also where it has waited for the
# row since before. Once a question is escalated a second user may answer it; its scope stays what it was. An operator
# claims in the user's place, by the same conditions, and is who has answered.
#
# This waits for the lock a millisecond at most, by which its lease may begin too early. CLAIM_AFTER_WAITING is for a
# row that somebody holds for longer: it locks first and then reads the clock, and costs the server an eighth more.
CLAIM = f"""
    with won as (
        update pending_interactions as pending
        set {_won("clock_timestamp()", "awaited_until > now()")}
        where {_IS_OPEN_FOR_THE_CLICK}
          and (expires_at is null or expires_at > clock_timestamp())
        returning {_CLAIM}
    ),
    {_WON}
"""

CLAIM_AFTER_WAITING = f"""
    with held as materialized (
        select id
        from pending_interactions
        where {_IS_OPEN_FOR_THE_CLICK}
        for no key update
    ),
    won as (
        update pending_interactions as pending
        set {_won("clock.now", "awaited_until > clock.now")}
        from held cross join lateral (select clock_timestamp() as now where held.id is not null) as clock
        where pending.id = held.id
          and (expires_at is null or expires_at > clock.now)
        returning {_CLAIM}
    ),
    {_WON}
"""

# Read after a statement matched no row, to explain why; `refusal.FoundRow` has these fields. What the row holds is
# shown to its own organization and connection alone, and of the request that asked it the organization's own learn
# whether theirs is another one.
LOOK = f"""
    select organization_id, connection_id, expected_user_id, application, ask_number,
           {readable("created_at")} as created_at, {readable("claimed_at")} as claimed_at,
           case when is_ours then entry_payload::text end as payload,
           case when is_ours then answer end as answer,
           case when is_ours then answered_by end as answered_by,
           case when is_ours and escalate_at <= coalesce(claimed_at, clock_timestamp())
                then escalate_to end as escalated_to,
           case when is_ours then previous::text end as previous,
           delivery_key, lease_token, {OUTCOME} as ending, expires_at <= clock_timestamp() as is_past_its_deadline,
           request_key, displaced_keys,
           case when organization_id = %(organization_id)s then entry_payload ->> 'request_digest' end
           as request_digest, awaited_by, awaited_until > clock_timestamp() as is_awaited,
           (delivery_due_at is not null or ending_due_at is not null) as is_undelivered,
           {ENDING_IS_TO_BE_APPENDED} as is_to_be_appended,
           pending.xmin::text as row_version
    from pending_interactions as pending
    cross join lateral (
        select organization_id = %(organization_id)s and connection_id = %(connection_id)s
    ) as scope (is_ours)
    where id = %(id)s
"""

# Undelivered answers are deleted only on request, those that nobody has clicked included, and so is what is stuck, and
# an ending that is still to be appended to its stream.
DELETE = f"""
    with deleted as (
        delete from pending_interactions
        where id = %(id)s
          and organization_id = %(organization_id)s
          and connection_id = %(connection_id)s
          and expected_user_id = %(expected_user_id)s
          and (%(include_undelivered)s
               or delivery_due_at is null
               and (ending_due_at is null or outcome is distinct from 'defaulted' and ending_due_at < 'infinity')
               and not {ENDING_IS_TO_BE_APPENDED})
          and {LIMITS}
        returning id, ask_number, organization_id
    ),
    {trail("deleted", "'deleted'")}
    select id
    from deleted
"""

# xmin is the transaction that wrote this version of the row, so a claim or another put in between keeps the row
# (manual, section 5.6 "System Columns"). A card that the pods are to post will be there.
DELETE_UNTOUCHED = f"""
    with deleted as (
        delete from pending_interactions
        where id = %(id)s and pending_interactions.xmin = %(row_version)s::xid and claimed_at is null
          and post_due_at is null
          and {LIMITS}
        returning id, ask_number, organization_id
    ),
    {trail("deleted", "'deleted'", detail="'its card was not shown'")}
    select id
    from deleted
"""

CREATE_ORGANIZATION = """
    insert into organization (id)
    values (%(id)s)
    on conflict (id) do nothing
    returning id
"""

DELETE_ORGANIZATION = """
    delete from organization
    where id = %(id)s
    returning id
"""
