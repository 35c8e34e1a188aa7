"""The statements by which questions are stored and claimed. Returned columns have the names of the fields they fill.

Each statement of the claim path carries the id, so that an engine that shards by primary key sends it to one shard.
Nothing relies on a row's place (ctid), and every time is the database's.

A statement that may wait long for a row's lock locks the row first, in `held`, and then reads the clock: what a
statement computes before it waits is kept when the other transaction rolls back or has only locked the row, and a lease
would begin before its time (PostgreSQL manual, section 13.2.1).
"""

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


# How a row's question has ended; null while it is open. Clicks and withdrawals leave the column alone.
OUTCOME = """case when pending.outcome is not null then pending.outcome
                 when pending.claimed_at is null then null
                 when pending.withdrawn_at is not null then 'withdrawn'
                 else 'answered' end"""


def accepts(value: str) -> str:
    """Return whether a value is one of the question's options, or it has none."""
    return f"""(entry_payload #> '{{question,options}}' ? {value}
               or jsonb_typeof(entry_payload #> '{{question,options}}') is distinct from 'array'
               or entry_payload #> '{{question,options}}' = '[]')"""


_IS_OPEN_FOR_THE_CLICK = f"""id = %(id)s
          and organization_id = %(organization_id)s
          and connection_id = %(connection_id)s
          and expected_user_id = %(expected_user_id)s
          and application = %(application)s
          and claimed_at is null
          and (%(ask_number)s::bigint is null or ask_number = %(ask_number)s)
          and {accepts("%(answer)s")}
          and {LIMITS}"""


def _won(now: str, is_awaited: str) -> str:
    # By its own clock the click came before the deadline.
    return f"""claimed_at = least({now}, expires_at), answer = %(answer)s, delivery_key = %(delivery_key)s,
        answered_by = %(expected_user_id)s, pod = %(pod)s,
        delivery_due_at = case when %(lease)s::interval is not null
                               then case when {is_awaited} then awaited_until else {now} + %(lease)s::interval end end,
        lease_token = case when {is_awaited} then null else %(lease_token)s::uuid end,
        delivery_attempts = case when %(lease_token)s::uuid is null or {is_awaited} then 0 else 1 end,
        delivery_error = null,
        delivered_at = case when %(lease)s::interval is null then {now} end,
        withdrawn_at = null,
        card_due_at = case when card is not null then {now} + coalesce(%(lease)s::interval, '0') end,
        card_attempts = 0"""


_CLAIM = "pending.id, ask_number, entry_payload::text as payload, claimed_at, lease_token, card::text as card"

# The winning click is the one that finds the row unclaimed. Postgres locks the row, and whoever waited for the lock
# looks at the new version again, so of any number of concurrent clicks exactly one gets a row back. Never select first.
#
# From then on the row is the truth about the answer. With a lease it is undelivered until it is marked, and whoever
# holds the token delivers it; without one the caller takes it. While somebody waits to read it no pod delivers it, and
# no longer than that: whoever waits may have died. After the deadline no click wins, also where it has waited for the
# row since before.
#
# This waits for the lock a millisecond at most, by which its lease may begin too early. CLAIM_AFTER_WAITING is for a
# row that somebody holds for longer: it locks first and then reads the clock, and costs the server an eighth more.
CLAIM = f"""
    update pending_interactions as pending
    set {_won("clock_timestamp()", "awaited_until > now()")}
    where {_IS_OPEN_FOR_THE_CLICK}
          and (expires_at is null or expires_at > clock_timestamp())
    returning {_CLAIM}
"""

CLAIM_AFTER_WAITING = f"""
    with held as materialized (
        select id
        from pending_interactions
        where {_IS_OPEN_FOR_THE_CLICK}
        for no key update
    )
    update pending_interactions as pending
    set {_won("clock.now", "awaited_until > clock.now")}
    from held cross join lateral (select clock_timestamp() as now where held.id is not null) as clock
    where pending.id = held.id
      and (expires_at is null or expires_at > clock.now)
    returning {_CLAIM}
"""

# Read after a statement matched no row, to explain why; `refusal.FoundRow` has these fields. What the row holds is
# shown to its own organization and connection alone.
LOOK = f"""
    select organization_id, connection_id, expected_user_id, application, ask_number,
           {readable("created_at")} as created_at, {readable("claimed_at")} as claimed_at,
           case when is_ours then entry_payload::text end as payload,
           case when is_ours then answer end as answer,
           case when is_ours then answered_by end as answered_by,
           case when is_ours then previous::text end as previous,
           delivery_key, lease_token, {OUTCOME} as ending, expires_at <= clock_timestamp() as is_past_its_deadline,
           request_key, displaced_keys, awaited_by, awaited_until > clock_timestamp() as is_awaited,
           (delivery_due_at is not null or ending_due_at is not null) as is_undelivered,
           pending.xmin::text as row_version
    from pending_interactions as pending
    cross join lateral (
        select organization_id = %(organization_id)s and connection_id = %(connection_id)s
    ) as scope (is_ours)
    where id = %(id)s
"""

# The number is drawn only where a row is written: a default is evaluated before a conflict is seen.
INSERT = f"""
    insert into pending_interactions
        (id, organization_id, connection_id, expected_user_id, entry_payload, application, request_key,
         awaited_by, awaited_until, posting_until, expires_at, default_answer)
    select %(id)s, %(organization_id)s, %(connection_id)s, %(expected_user_id)s, %(payload)s::jsonb, %(application)s,
           %(request_key)s, %(awaited_by)s::uuid, now() + %(awaited_for)s::interval, now() + %(posting)s::interval,
           now() + %(expires_in)s::interval, %(default)s
    where not exists (select from pending_interactions where id = %(id)s)
      and {LIMITS}
    on conflict (id) do nothing
    returning id, 'created' as outcome, ask_number, created_at, xmin::text as row_version,
              %(posting)s::interval is not null as is_to_be_posted
"""


def _shown(payload: str) -> str:
    """Return what a card shows of a payload; two that agree in this are the same question to whoever reads it."""
    return f"""jsonb_build_array(
              {payload} #> '{{question,text}}', coalesce({payload} #> '{{question,options}}', '[]'),
              coalesce({payload} #>> '{{question,conversation_id}}', ''))"""


_SHOWS_THE_SAME = f"{_shown('entry_payload')} = {_shown('%(payload)s::jsonb')}"

_SAME_KEY_OR_NONE = "(request_key is null or %(request_key)s::text is null or request_key = %(request_key)s)"
_IS_NOT_DISPLACED = "(%(request_key)s::text = any (displaced_keys)) is not true"

# Nobody else waits for the answer: whoever asks an id that is waited for is refused.
_IS_FREE = """(awaited_by is null or awaited_by is not distinct from %(awaited_by)s::uuid
           or (awaited_until > now()) is not true)"""

# Past its deadline an open question is ended first.
IS_BEFORE_ITS_DEADLINE = "(expires_at > clock_timestamp()) is not false"

# A retry of the same asking. created_at stays, and the earlier deadline: it must not extend the row's life. So does who
# waits, unless this put waits itself: its deadline then takes the place of the former asker's. The card is posted by
# one pod at a time, and once.
REFRESH = f"""
    with held as materialized (
        select pending.id, posted_at is null and (posting_until <= clock_timestamp()) is not false as is_unposted
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
          and {_IS_NOT_DISPLACED}
          and (%(awaited_by)s::uuid is null or {_IS_FREE})
          and {LIMITS}
        for no key update
    )
    update pending_interactions as pending
    set entry_payload = %(payload)s::jsonb,
        request_key = coalesce(request_key, %(request_key)s),
        expires_at = case when %(awaited_by)s::uuid is not null and awaited_by is not null
                          then clock_timestamp() + %(expires_in)s::interval
                          else least(expires_at, clock_timestamp() + %(expires_in)s::interval) end,
        default_answer = coalesce(default_answer, %(default)s),
        awaited_by = coalesce(%(awaited_by)s, awaited_by),
        awaited_until = coalesce(clock_timestamp() + %(awaited_for)s::interval, awaited_until),
        posting_until = case when is_unposted then clock_timestamp() + %(posting)s::interval else posting_until end
    from held
    where pending.id = held.id
    returning pending.id, 'refreshed' as outcome, ask_number, {readable("created_at")} as created_at,
              xmin::text as row_version, is_unposted and %(posting)s::interval is not null as is_to_be_posted
"""

# How the asking before ended, for its late clicks; and its card, for an edit that takes its buttons away. The number of
# the row's first asking says which cards that are noted late are of this row.
_ENDED = f"""jsonb_build_object(
            'ask_number', pending.ask_number,
            'ending', coalesce({OUTCOME}, 'superseded'), 'at', claimed_at, 'answer', answer,
            'answered_by', case when outcome is null then coalesce(answered_by, expected_user_id) end,
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
    )
    update pending_interactions as pending
    set entry_payload = %(payload)s::jsonb,
        ask_number = default,
        created_at = clock_timestamp(),
        request_key = %(request_key)s,
        displaced_keys = case when request_key is null then displaced_keys
                              else (array_prepend(request_key, displaced_keys))[:%(most_displaced_keys)s] end,
        previous = {_ENDED} || jsonb_build_object('first', coalesce(previous -> 'first', to_jsonb(ask_number))),
        retired_cards = case
            when not {_HAS_BUTTONS} then retired_cards
            else jsonb_path_query_array(
                jsonb_build_array({_ENDED} || jsonb_build_object('card', card)) || coalesce(retired_cards, '[]'),
                '$[0 to 9]')
        end,
        claimed_at = null, answer = null, delivery_key = null, answered_by = null, pod = null,
        lease_token = null, delivery_attempts = 0, delivery_error = null, delivered_at = null,
        withdrawn_at = null, outcome = null, posted_at = null, card = null, card_attempts = 0,
        expires_at = clock_timestamp() + %(expires_in)s::interval, default_answer = %(default)s,
        card_due_at = case when {_HAS_BUTTONS} or retired_cards is not null then clock_timestamp() end,
        awaited_by = %(awaited_by)s, awaited_until = clock_timestamp() + %(awaited_for)s::interval,
        posting_until = clock_timestamp() + %(posting)s::interval
    from held
    where pending.id = held.id
    returning pending.id, case when was_open then 'superseded' else 'reopened' end as outcome, ask_number, created_at,
              xmin::text as row_version, %(posting)s::interval is not null as is_to_be_posted
"""

# One statement a batch; rows that exist already are left for `put`, one by one.
INSERT_MANY = f"""
    insert into pending_interactions
        (id, organization_id, connection_id, expected_user_id, entry_payload, application, expires_at, default_answer)
    select incoming.id, organization_id, connection_id, expected_user_id, payload::jsonb, %(application)s,
           now() + %(expires_in)s::interval, %(default)s
    from (select where {LIMITS}) as limits
    cross join unnest(%(ids)s::text[], %(organization_ids)s::text[], %(connection_ids)s::text[],
                      %(expected_user_ids)s::text[], %(payloads)s::text[])
         as incoming (id, organization_id, connection_id, expected_user_id, payload)
    where not exists (select from pending_interactions as pending where pending.id = incoming.id)
    order by incoming.id
    on conflict (id) do nothing
    returning id
"""

# Undelivered answers are deleted only on request.
DELETE = f"""
    delete from pending_interactions
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and (%(include_undelivered)s or delivery_due_at is null)
      and {LIMITS}
    returning id
"""


# xmin is the transaction that wrote this version of the row, so a claim or another put in between keeps the row
# (manual, section 5.6 "System Columns").
DELETE_UNTOUCHED = f"""
    delete from pending_interactions
    where id = %(id)s and pending_interactions.xmin = %(row_version)s::xid and claimed_at is null
      and {LIMITS}
    returning id
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
