"""The statements of what is still to be appended to the streams of questions: that a card was posted, and an ending.

Returned columns have the names of the fields they fill.

No lock of a question is held while a stream's is waited for: what waits is read, appended, and then marked if the row
still holds just that. Append and mark are one transaction, so neither is there without the other.
"""

from .lease_statements import first_due_of_tenant, tenants
from .statements import EVENTS_WAIT, LIMITS, OUTCOME

# The first asking of which something is to be appended: a former one, as the trigger keep_ending has left it, before
# the present one. Null where nothing waits.
_FIRST = f"""coalesce(former_endings -> 0, case when {EVENTS_WAIT} then jsonb_build_object(
                      'stream', stream,
                      'ask_number', ask_number,
                      'text', case when stream_appended < 1 then entry_payload #>> '{{question,text}}' end,
                      'posted_at', case when stream_appended < 1 then posted_at end,
                      'outcome', {OUTCOME},
                      'answer', answer,
                      'answered_by', case when {OUTCOME} = 'answered' then coalesce(answered_by, expected_user_id) end,
                      'ended_at', claimed_at) end)"""

# Organizations take turns, those first whose events have waited longest. A lease only moves the next attempt: later and
# later, without anybody having to report that one failed. It may be forgotten when the server crashes, so nobody waits
# until it is on the disk.
LEASE_EVENTS = f"""
    with {tenants("stream_due_at", EVENTS_WAIT)},
    waiting as (
        select organization_id
        from (
            select organization_id, {first_due_of_tenant("stream_due_at", EVENTS_WAIT)} as first_due_at
            from tenant
            where organization_id is not null
        ) as tenant
        where first_due_at <= now()
        order by first_due_at
        limit %(limit)s
    ),
    turn as (
        select due.id, row_number() over (partition by due.organization_id order by due.stream_due_at) as turn,
               due.stream_due_at
        from waiting
        cross join lateral (
            select id, pending.organization_id, stream_due_at
            from pending_interactions as pending
            where application = %(application)s and pending.organization_id = waiting.organization_id
              and {EVENTS_WAIT} and stream_due_at <= now()
            order by stream_due_at
            limit %(limit)s * 4
        ) as due
    ),
    held as materialized (
        select pending.id
        from (select * from turn order by turn, stream_due_at limit %(limit)s * 4) as candidate
        join pending_interactions as pending using (id)
        where pending.stream_due_at <= now() and {EVENTS_WAIT}
        order by candidate.turn, candidate.stream_due_at
        limit %(limit)s
        for no key update of pending skip locked
    )
    update pending_interactions as pending
    set stream_due_at = now()
            + least(%(lease)s::interval * 2 ^ least(greatest(stream_attempts, 0), 12), %(longest)s::interval),
        stream_attempts = least(stream_attempts, 1000) + 1
    from (select set_config('synchronous_commit', 'off', true)) as without_waiting, held
    where pending.id = held.id
    returning pending.id as question_id, organization_id, stream_attempts as attempts, ({_FIRST})::text as asking
"""

# Begins the transaction that appends, and spares the stream what another pod has appended.
EVENTS_STILL_WAIT = f"""
    select id
    from pending_interactions as pending
    where id = %(id)s and {_FIRST} = %(asking)s::jsonb
      and {LIMITS}
"""

# Why the last attempt failed, for the person on call; the lease has moved the next one already.
MARK_NOT_APPENDED = f"""
    update pending_interactions as pending
    set stream_error = %(error)s
    where id = any (array(
        select id
        from pending_interactions as pending
        where id = %(id)s and {_FIRST} = %(asking)s::jsonb
        for no key update skip locked
    ))
      and {LIMITS}
"""

# Zero rows: another pod was first, the row has changed since it was read, or somebody has locked it. What was appended
# in this transaction is rolled back then. What comes next is due at once.
MARK_APPENDED = f"""
    with held as materialized (
        select id
        from pending_interactions as pending
        where id = %(id)s and {_FIRST} = %(asking)s::jsonb
          and {LIMITS}
        for no key update skip locked
    )
    update pending_interactions as pending
    set former_endings = case when jsonb_array_length(former_endings) > 1 then former_endings - 0 end,
        stream_appended = case when former_endings is not null then stream_appended
                               when claimed_at is not null then 2 else 1 end,
        stream_due_at = now(), stream_attempts = 0, stream_error = %(error)s
    from held
    where pending.id = held.id
    returning pending.id
"""
