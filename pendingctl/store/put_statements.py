"""The statements by which questions are stored. Returned columns have the names of the fields they fill."""

from .statements import IS_BEFORE_ITS_DEADLINE, LIMITS, OUTCOME, readable
from .trail_statements import trail

# The caller that posts the card itself has begun the first attempt.
_IS_POSTING = "case when %(posting)s::interval is null then 0 else 1 end"

_STORED = "id, outcome, ask_number, created_at, row_version, is_to_be_posted"
_ASKING = trail(
    "asked",
    "'asked'",
    user_id="%(expected_user_id)s::text",
    connection_id="%(connection_id)s::text",
    application="%(application)s::text",
    request_key="%(request_key)s::text",
    attempt=f"nullif({_IS_POSTING}, 0)",
    detail="outcome",
)
_ASKED = f"""{_ASKING}
    select {_STORED}
    from asked"""

# The number is drawn only where a row is written: a default is evaluated before a conflict is seen.
INSERT = f"""
    with asked as (
        insert into pending_interactions
            (id, organization_id, connection_id, expected_user_id, entry_payload, application, request_key,
             awaited_by, awaited_until, posting_until, expires_at, default_answer,
             post_due_at, post_attempts, post_doubts, remind_every, reminders_left, escalate_at, escalate_to,
             stream, stream_due_at)
        select %(id)s, %(organization_id)s, %(connection_id)s, %(expected_user_id)s, %(payload)s::jsonb,
               %(application)s, %(request_key)s, %(awaited_by)s::uuid, now() + %(awaited_for)s::interval,
               now() + %(posting)s::interval, now() + %(expires_in)s::interval, %(default)s,
               case when %(show)s then now() + coalesce(%(posting)s::interval, '0') end, {_IS_POSTING}, {_IS_POSTING},
               %(remind_every)s, %(reminders_left)s, now() + %(escalate_after)s::interval, %(escalate_to)s,
               %(stream)s, case when %(stream)s::text is not null then now() end
        where not exists (select from pending_interactions where id = %(id)s)
          and {LIMITS}
        on conflict (id) do nothing
        returning id, 'created' as outcome, ask_number, created_at, xmin::text as row_version,
                  %(posting)s::interval is not null as is_to_be_posted, organization_id
    ),
    {_ASKED}
"""


def _shown(payload: str) -> str:
    """Return what a card shows of a payload; two that agree in this are the same question to whoever reads it."""
    return f"""jsonb_build_array(
              {payload} #> '{{question,text}}', coalesce({payload} #> '{{question,options}}', '[]'),
              coalesce({payload} #>> '{{question,conversation_id}}', ''))"""


_SHOWS_THE_SAME = f"{_shown('entry_payload')} = {_shown('%(payload)s::jsonb')}"

# The same key with another request, also one whose card shows the same. A request without a digest is any.
_REUSES_ITS_KEY = """(request_key = %(request_key)s::text
           and entry_payload ->> 'request_digest' <> %(request_digest)s::text) is true"""
# A retry that has no digest leaves the one that the row has.
_KEPT_DIGEST = """case when entry_payload ? 'request_digest'
                                  then jsonb_build_object('request_digest', entry_payload -> 'request_digest')
                                  else '{}' end"""

_SAME_KEY_OR_NONE = "(request_key is null or %(request_key)s::text is null or request_key = %(request_key)s)"
_IS_NOT_DISPLACED = "(%(request_key)s::text = any (displaced_keys)) is not true"

# Nobody else waits for the answer: whoever asks an id that is waited for is refused.
_IS_FREE = """(awaited_by is null or awaited_by is not distinct from %(awaited_by)s::uuid
           or (awaited_until > now()) is not true)"""

# The first attempt to post the card begins with this put: the caller's, or the pods'.
_BEGINS = "is_unposted and (%(show)s or %(posting)s::interval is not null)"

# A retry of the same asking. created_at stays, and the deadline: it must not extend the row's life, nor take back what
# has been added to that since. So does who waits, unless this put waits itself: the deadline is then its own where that
# comes first, or takes the place of the former asker's.
#
# The card is posted by one pod at a time, and once. A caller that posts it itself makes the first attempt, also anew of
# a card that was given up, and may be there; once an attempt was made the next one is the pods', which know whether it
# is in doubt. The time of a caller that posts a card of its own is when pods may take over what this put has them show.
REFRESH = f"""
    with held as materialized (
        select pending.id,
               posted_at is null and (posting_until <= clock_timestamp()) is not false
               and (post_due_at = 'infinity' or post_due_at <= clock_timestamp() and post_attempts = 0) is not false
               as is_unposted
        from pending_interactions as pending
        where id = %(id)s
          and organization_id = %(organization_id)s
          and connection_id = %(connection_id)s
          and expected_user_id = %(expected_user_id)s
          and application = %(application)s
          and claimed_at is null
          and {IS_BEFORE_ITS_DEADLINE}
          and {_SHOWS_THE_SAME}
          and {_SAME_KEY_OR_NONE}
          and not {_REUSES_ITS_KEY}
          and {_IS_NOT_DISPLACED}
          and (%(awaited_by)s::uuid is null or {_IS_FREE})
          and {LIMITS}
        for no key update
    ),
    refreshed as (
        update pending_interactions as pending
        set entry_payload = {_KEPT_DIGEST} || %(payload)s::jsonb,
            request_key = coalesce(request_key, %(request_key)s),
            expires_at = case when %(awaited_by)s::uuid is null
                              then coalesce(expires_at, clock_timestamp() + %(expires_in)s::interval)
                              when awaited_by is null
                              then least(expires_at, clock_timestamp() + %(expires_in)s::interval)
                              else clock_timestamp() + %(expires_in)s::interval end,
            default_answer = coalesce(default_answer, %(default)s),
            awaited_by = coalesce(%(awaited_by)s, awaited_by),
            awaited_until = coalesce(clock_timestamp() + %(awaited_for)s::interval, awaited_until),
            posting_until = case when {_BEGINS} then clock_timestamp() + %(posting)s::interval else posting_until end,
            post_due_at = case when {_BEGINS} and (%(show)s or post_due_at is not null)
                               then clock_timestamp() + coalesce(%(posting)s::interval, '0')
                               when posted_at is null and %(show)s then coalesce(post_due_at, posting_until)
                               else post_due_at end,
            post_attempts = case when {_BEGINS} then {_IS_POSTING} else post_attempts end,
            post_doubts = case when {_BEGINS}
                               then {_IS_POSTING}
                                    + case when post_due_at = 'infinity' then least(post_doubts, 1) else 0 end
                               else post_doubts end,
            stream = coalesce(stream, %(stream)s),
            stream_due_at = case when stream is null and %(stream)s::text is not null then clock_timestamp()
                                 else stream_due_at end
        from held
        where pending.id = held.id
        returning pending.id, 'refreshed' as outcome, ask_number, {readable("created_at")} as created_at,
                  xmin::text as row_version, is_unposted and %(posting)s::interval is not null as is_to_be_posted,
                  post_attempts, organization_id
    ),
    {trail("(select * from refreshed where is_to_be_posted) as begun", "'posting'", attempt="post_attempts")}
    select {_STORED}
    from refreshed
"""

# How the asking before ended, for its late clicks; and its card, for an edit that takes its buttons away. The number of
# the row's first asking says which cards that are noted late are of this row.
ENDED = f"""jsonb_build_object(
            'ask_number', pending.ask_number,
            'ending', coalesce({OUTCOME}, 'superseded'), 'at', claimed_at, 'answer', answer,
            'answered_by', case when outcome is null then coalesce(answered_by, expected_user_id) end,
            'escalated_to', case when escalate_at <= coalesce(claimed_at, clock_timestamp()) then escalate_to end,
            'delivery_key', delivery_key, 'text', entry_payload #>> '{{question,text}}')"""

# The card of an open question, or one that does not show yet how its question ended.
_HAS_BUTTONS = "(card is not null and (claimed_at is null or card_due_at is not null))"

# A new asking under the same id: another question while the one before is open, or the same after its end. Its life
# starts now, or the sweep would take it at once. Never while the ending of the last asking is undelivered, which would
# be lost; and not by a request that has asked this id before.
ASK_AGAIN = f"""
    with held as materialized (
        select pending.id, claimed_at is null as was_open
        from pending_interactions as pending
        where id = %(id)s
          and organization_id = %(organization_id)s
          and connection_id = %(connection_id)s
          and expected_user_id = %(expected_user_id)s
          and application = %(application)s
          and {_IS_NOT_DISPLACED}
          and (request_key = %(request_key)s) is not true
          and case when claimed_at is null
                   then {IS_BEFORE_ITS_DEADLINE} and {_IS_FREE} and not ({_SHOWS_THE_SAME} and {_SAME_KEY_OR_NONE})
                   else %(reopens)s and delivery_due_at is null and ending_due_at is null end
          and {LIMITS}
        for no key update
    ),
    asked as (
        update pending_interactions as pending
        set entry_payload = %(payload)s::jsonb,
            ask_number = default,
            created_at = clock_timestamp(),
            request_key = %(request_key)s,
            displaced_keys = case when request_key is null then displaced_keys
                                  else (array_prepend(request_key, displaced_keys))[:%(most_displaced_keys)s] end,
            previous = {ENDED} || jsonb_build_object('first', coalesce(previous -> 'first', to_jsonb(ask_number))),
            retired_cards = case
                when not {_HAS_BUTTONS} then retired_cards
                else jsonb_path_query_array(
                    jsonb_build_array({ENDED} || jsonb_build_object('card', card)) || coalesce(retired_cards, '[]'),
                    '$[0 to 9]')
            end,
            claimed_at = null, answer = null, delivery_key = null, answered_by = null, pod = null,
            lease_token = null, delivery_attempts = 0, delivery_error = null, delivered_at = null,
            withdrawn_at = null, outcome = null, posted_at = null, card = null, card_attempts = 0,
            expires_at = clock_timestamp() + %(expires_in)s::interval, default_answer = %(default)s,
            card_due_at = case when {_HAS_BUTTONS} or retired_cards is not null then clock_timestamp() end,
            awaited_by = %(awaited_by)s, awaited_until = clock_timestamp() + %(awaited_for)s::interval,
            posting_until = clock_timestamp() + %(posting)s::interval,
            post_due_at = case when %(show)s then clock_timestamp() + coalesce(%(posting)s::interval, '0') end,
            post_attempts = {_IS_POSTING}, post_doubts = {_IS_POSTING}, post_error = null,
            remind_every = %(remind_every)s, reminders_left = %(reminders_left)s,
            escalate_at = clock_timestamp() + %(escalate_after)s::interval, escalate_to = %(escalate_to)s,
            escalated_at = null,
            stream = %(stream)s,
            stream_due_at = case when coalesce(%(stream)s, stream) is not null or former_endings is not null
                                 then clock_timestamp() end
        from held
        where pending.id = held.id
        returning pending.id, case when was_open then 'superseded' else 'reopened' end as outcome, ask_number,
                  created_at, xmin::text as row_version, %(posting)s::interval is not null as is_to_be_posted,
                  organization_id
    ),
    {_ASKED}
"""

# One statement a batch; rows that exist already are left for `put`, one by one.
INSERT_MANY = f"""
    with asked as (
        insert into pending_interactions
            (id, organization_id, connection_id, expected_user_id, entry_payload, application, expires_at,
             default_answer, post_due_at, remind_every, reminders_left, escalate_at, escalate_to, stream,
             stream_due_at)
        select incoming.id, organization_id, connection_id, expected_user_id, payload::jsonb, %(application)s,
               now() + %(expires_in)s::interval, %(default)s, case when %(show)s then now() end,
               %(remind_every)s, %(reminders_left)s, now() + %(escalate_after)s::interval, %(escalate_to)s,
               %(stream)s, case when %(stream)s::text is not null then now() end
        from (select where {LIMITS}) as limits
        cross join unnest(%(ids)s::text[], %(organization_ids)s::text[], %(connection_ids)s::text[],
                          %(expected_user_ids)s::text[], %(payloads)s::text[])
             as incoming (id, organization_id, connection_id, expected_user_id, payload)
        where not exists (select from pending_interactions as pending where pending.id = incoming.id)
        order by incoming.id
        on conflict (id) do nothing
        returning id, ask_number, organization_id, expected_user_id, connection_id
    ),
    {
    trail(
        "asked",
        "'asked'",
        user_id="expected_user_id",
        connection_id="connection_id",
        application="%(application)s::text",
        detail="'created'",
    )
}
    select id
    from asked
"""
