"""The statements of leases on endings, and of what is due. Returned columns have the names of the fields they fill."""

from typing import LiteralString

from .statements import EVENTS_WAIT, LIMITS, OUTCOME, accepts, readable
from .trail_statements import trail

# What a row's ending waits for: an answer in delivery_due_at, every other ending in a column of its own.
_ANSWERS, _ENDINGS = "delivery_due_at", "ending_due_at"


def tenants(due_at: LiteralString, waits: LiteralString | None = None) -> LiteralString:
    """Return an application's tenants of whose questions something waits for its time, one look at the index each.

    `waits` is the index's own condition, unless that is that there is such a time.
    """
    waits = waits or f"{due_at} is not null"
    return f"""
    recursive tenant (organization_id) as (
        select min(organization_id)
        from pending_interactions
        where application = %(application)s and {waits} and organization_id > %(after)s
        union all
        select (select min(pending.organization_id)
                from pending_interactions as pending
                where application = %(application)s and {waits}
                  and pending.organization_id > tenant.organization_id)
        from tenant
        where tenant.organization_id is not null
    )
"""


def first_due_of_tenant(due_at: LiteralString, waits: LiteralString = "true") -> LiteralString:
    """Return when the first of that is due, of one tenant."""
    return f"""(
                   select min({due_at})
                   from pending_interactions as pending
                   where application = %(application)s and pending.organization_id = tenant.organization_id
                     and {waits}
               )"""


def _is_due(due_at: LiteralString, open_alone: LiteralString = "") -> LiteralString:
    """Return whether something is due of the connections that a pod serves."""
    return f"""exists (
               select
               from unnest(%(organization_ids)s::text[], %(connection_ids)s::text[])
                    as served (organization_id, connection_id)
               where (
                   select min({due_at})
                   from pending_interactions as pending
                   where application = %(application)s and pending.organization_id = served.organization_id
                     and pending.connection_id = served.connection_id {open_alone}
               ) <= now()
           )"""


# What an idle pod asks: a look at an index for each tenant that has endings, and for each connection; nothing locked.
# The least time is read from the index whatever the statistics say; `exists` has led to scans of the table.
DUE = f"""
    select (
               with {tenants(_ANSWERS)}
               select exists (select from tenant where {first_due_of_tenant(_ANSWERS)} <= now())
           ) as answers,
           (
               with {tenants(_ENDINGS)}
               select exists (select from tenant where {first_due_of_tenant(_ENDINGS)} <= now())
           ) as endings,
           (
               with {tenants("stream_due_at", EVENTS_WAIT)}
               select exists (
                   select from tenant where {first_due_of_tenant("stream_due_at", EVENTS_WAIT)} <= now()
               )
           ) as events,
           {_is_due("card_due_at")} as cards,
           {_is_due("post_due_at", "and claimed_at is null")} as posts,
           coalesce((
               select min(expires_at)
               from pending_interactions
               where application = %(application)s and claimed_at is null
           ) <= now(), false) as deadlines
"""


# Why a default was no answer; a card that was noted after the deadline was none before it.
_LEASED_COLUMNS = """question_id, ask_number, value, organization_id, connection_id, user_id, payload, claimed_at,
           answered_by, outcome, reason, token, attempt, leased_at"""
_LEASED_ENDING = f"""pending.id as question_id, ask_number, answer as value, organization_id, connection_id,
              expected_user_id as user_id, entry_payload::text as payload, {readable("claimed_at")} as claimed_at,
              case when {OUTCOME} = 'answered' then coalesce(answered_by, expected_user_id) end as answered_by,
              {OUTCOME} as outcome, lease_token as token,
              case when outcome = 'expired' and default_answer is not null
                   then case when {accepts("default_answer")} then 'its card was never posted'
                             else 'the default is none of its options' end end as reason,
              delivery_attempts as attempt, now() as leased_at"""


# One whose attempts are used up is leased to nobody.
_LEASE_TRAIL = trail(
    "leased",
    "case when token is null then 'stuck' else 'leased' end",
    question_id="question_id",
    attempt="attempt",
    detail="case when token is null then delivery_error end",
)


def _lease(due_at: LiteralString) -> LiteralString:
    """Return the statement that leases what is due.

    Tenants take turns: the oldest of each first, then each one's second, of those that have something due and are not
    busy, or answers that wait for their time would keep all who come after from their turn. The lease is taken by
    whoever locks the row first; another pod passes it over, and finds others among the candidates. An ending whose
    attempts are used up, also by pods that died over it, is handed to a person instead: it is due at infinity.
    """
    return f"""
    with {tenants(due_at)},
    turn as (
        select due.id, row_number() over (partition by due.organization_id order by due.{due_at}) as turn,
               due.{due_at}
        from (
            select organization_id
            from tenant
            where organization_id <> all (%(busy)s::text[])
              and {first_due_of_tenant(due_at)} <= now()
            limit %(most_tenants)s
        ) as tenant
        cross join lateral (
            select id, pending.organization_id, {due_at}
            from pending_interactions as pending
            where application = %(application)s and pending.organization_id = tenant.organization_id
              and {due_at} <= now()
            order by {due_at}
            limit %(limit)s * 8
        ) as due
    ),
    held as materialized (
        select pending.id
        from (select * from turn order by turn, {due_at} limit %(limit)s * 8) as candidate
        join pending_interactions as pending using (id)
        where pending.{due_at} <= now()
        order by candidate.turn, candidate.{due_at}
        limit %(limit)s
        for no key update of pending skip locked
    ),
    leased as (
        update pending_interactions as pending
        set {due_at} = case when delivery_attempts < %(most_attempts)s
                                   then now() + %(lease)s::interval else 'infinity' end,
            lease_token = case when delivery_attempts < %(most_attempts)s then gen_random_uuid() end,
            delivery_attempts = least(delivery_attempts, %(most_attempts)s - 1) + 1,
            delivery_error = case when delivery_attempts < %(most_attempts)s then delivery_error
                                  else coalesce(delivery_error, 'the pods that attempted it died') end
        from held
        where pending.id = held.id
        returning {_LEASED_ENDING}, delivery_error
    ),
    {_LEASE_TRAIL}
    select {_LEASED_COLUMNS}
    from leased
"""


LEASE = _lease(_ANSWERS)
LEASE_ENDINGS = _lease(_ENDINGS)

_LEASED = "id = %(id)s and ask_number = %(ask_number)s and lease_token = %(lease_token)s"

# Zero rows: the lease ran out and another pod took it, or the question was asked again since.
MARK_DELIVERED = f"""
    with delivered as (
        update pending_interactions
        set delivery_due_at = null, ending_due_at = null, lease_token = null, delivery_error = null,
            delivered_at = now()
        where {_LEASED}
          and {LIMITS}
        returning id, ask_number, organization_id, delivery_attempts
    ),
    {trail("delivered", "'delivered'", attempt="delivery_attempts")}
    select id
    from delivered
"""

_RETRY_AT = """case when %(permanent)s or delivery_attempts >= %(most_attempts)s
                               then 'infinity' else now() + %(retry_in)s::interval end"""
_FAILURE_TRAIL = trail(
    "failed",
    "case when is_stuck then 'stuck' else 'failed' end",
    attempt="delivery_attempts",
    detail="delivery_error",
)
MARK_FAILED = f"""
    with failed as (
        update pending_interactions
        set delivery_due_at = case when delivery_due_at is not null then {_RETRY_AT} end,
            ending_due_at = case when ending_due_at is not null then {_RETRY_AT} end,
            lease_token = null,
            delivery_error = %(error)s
        where {_LEASED}
          and {LIMITS}
        returning id, ask_number, organization_id, delivery_attempts, delivery_error,
                  coalesce(delivery_due_at, ending_due_at) = 'infinity' as is_stuck
    ),
    {_FAILURE_TRAIL}
    select is_stuck
    from failed
"""

# A hand-over that never began is no attempt.
RELEASE = f"""
    with released as (
        update pending_interactions
        set delivery_due_at = case when delivery_due_at is not null then now() end,
            ending_due_at = case when ending_due_at is not null then now() end,
            lease_token = null, delivery_attempts = greatest(delivery_attempts, 1) - 1
        where {_LEASED}
          and {LIMITS}
        returning id, ask_number, organization_id
    ),
    {trail("released", "'released'")}
    select id
    from released
"""

# A pod that closes gives back what it could not bring to an end: due now, and again where the worker may have it. What
# somebody has locked is passed by, and its id returned: one row must not keep the others.
GIVE_BACK = f"""
    with given as materialized (
        select id, token, has_begun
        from unnest(%(ids)s::text[], %(tokens)s::uuid[], %(begun)s::boolean[]) as given (id, token, has_begun)
    ),
    free as materialized (
        select pending.id, has_begun
        from given
        join pending_interactions as pending using (id)
        where lease_token = token
          and {LIMITS}
        for no key update of pending skip locked
    ),
    back as (
        update pending_interactions as pending
        set delivery_due_at = case when delivery_due_at is not null then now() end,
            ending_due_at = case when ending_due_at is not null then now() end,
            lease_token = null,
            delivery_attempts = case when has_begun then delivery_attempts
                                     else greatest(delivery_attempts, 1) - 1 end,
            delivery_error = case when has_begun then 'the pod closed before the worker had answered'
                                  else delivery_error end
        from free
        where pending.id = free.id
        returning pending.id, ask_number, organization_id, has_begun, delivery_attempts, delivery_error
    ),
    {
    trail(
        "back",
        "case when has_begun then 'failed' else 'released' end",
        attempt="case when has_begun then delivery_attempts end",
        detail="case when has_begun then delivery_error end",
    )
}
    select id
    from given
    join pending_interactions using (id)
    where lease_token = token and id not in (select id from back)
"""

REDELIVERED = f"""delivery_due_at = case when {OUTCOME} = 'answered' then now() end,
        ending_due_at = case when {OUTCOME} <> 'answered' then now() end,
        lease_token = null, delivery_attempts = 0, delivered_at = null"""

REDELIVER = f"""
    with queued as (
        update pending_interactions as pending
        set {REDELIVERED}
        where id = any (%(ids)s) and application = %(application)s and claimed_at is not null
          and {LIMITS}
        returning id, ask_number, organization_id
    ),
    {trail("queued", "'redelivered'")}
    select id
    from queued
"""

# An asker's lease on its question is renewed while it waits; zero rows: the question has ended, or the lease was lost.
KEEP_WAITING = f"""
    update pending_interactions
    set awaited_until = now() + %(awaited_for)s::interval
    where id = %(id)s and ask_number = %(ask_number)s and awaited_by = %(awaited_by)s and claimed_at is null
      and {LIMITS}
    returning id
"""

# The ending that was waited for, unless a pod has leased it since the asker's lease ran out: one whose hand-over has
# failed may have reached its worker nevertheless.
LEASE_AWAITED = f"""
    with leased as (
        update pending_interactions as pending
        set delivery_due_at = case when delivery_due_at is not null then now() + %(lease)s::interval end,
            ending_due_at = case when ending_due_at is not null then now() + %(lease)s::interval end,
            lease_token = gen_random_uuid(), delivery_attempts = 1
        where id = %(id)s and ask_number = %(ask_number)s and awaited_by = %(awaited_by)s
          and coalesce(delivery_due_at, ending_due_at) < 'infinity' and lease_token is null and delivery_attempts = 0
          and {LIMITS}
        returning {_LEASED_ENDING}, delivery_error
    ),
    {_LEASE_TRAIL}
    select {_LEASED_COLUMNS}
    from leased
"""

# An asker that gives up: what was answered is the pods' at once.
STOP_WAITING = f"""
    update pending_interactions
    set awaited_by = null, awaited_until = null,
        delivery_due_at = case when lease_token is null and delivery_due_at < 'infinity' then now()
                               else delivery_due_at end,
        ending_due_at = case when lease_token is null and ending_due_at < 'infinity' then now() else ending_due_at end
    where id = %(id)s and awaited_by = %(awaited_by)s
      and {LIMITS}
    returning id
"""
