"""The statements of what is posted of a question: its card, reminders, an escalation.

Returned columns have the names of the fields they fill.
"""

from .statements import LIMITS, REMIND_EVERY, readable
from .trail_statements import trail

_LEASE_TRAIL = trail(
    "(select * from leased where what <> 'nothing') as leased",
    "case what when 'card' then 'posting' when 'given up' then 'given_up' when 'reminder' then 'reminded' "
    "else 'escalated' end",
    question_id="question_id",
    attempt="case when what in ('card', 'given up') then attempt end",
    detail="case what when 'given up' then post_error when 'escalation' then escalated_to end",
)

# A card that is to be posted is leased, and due again until it is known to be there: whoever died over it may have
# posted it, which counts as a doubt. A reminder and an escalation take place once: the lease consumes their time before
# they are posted, and what was missed meanwhile is one reminder, or the escalation alone.
#
# Organizations take turns. Past its deadline a question is ended in its place.
LEASE_POSTS = f"""
    with turn as (
        select due.id, row_number() over (partition by served.organization_id order by due.post_due_at) as turn,
               due.post_due_at
        from unnest(%(organization_ids)s::text[], %(connection_ids)s::text[])
             as served (organization_id, connection_id)
        cross join lateral (
            select id, post_due_at
            from pending_interactions as pending
            where application = %(application)s and pending.organization_id = served.organization_id
              and pending.connection_id = served.connection_id and claimed_at is null and post_due_at <= now()
              and (expires_at <= now()) is not true
            order by post_due_at
            limit %(limit)s * 4
        ) as due
    ),
    held as materialized (
        select pending.id,
               case when posted_at is null and post_attempts < %(most_attempts)s and post_doubts < %(most_doubts)s
                    then 'card'
                    when posted_at is null then 'given up'
                    when escalated_at is null and escalate_at <= now() then 'escalation'
                    when reminders_left > 0 then 'reminder'
                    else 'nothing' end as what
        from (select * from turn order by turn, post_due_at limit %(limit)s * 4) as candidate
        join pending_interactions as pending using (id)
        where pending.post_due_at <= now() and pending.claimed_at is null and (pending.expires_at <= now()) is not true
        order by candidate.turn, candidate.post_due_at
        limit %(limit)s
        for no key update of pending skip locked
    ),
    leased as (
        update pending_interactions as pending
        set post_due_at = case
                when what = 'card' then now() + %(lease)s::interval
                when what = 'given up' then 'infinity'
                else least(case when reminders_left > case when what = 'reminder' then 1 else 0 end
                                then now() + {REMIND_EVERY} end,
                           case when escalated_at is null and what <> 'escalation' then escalate_at end) end,
            post_attempts = case when what = 'card' then post_attempts + 1 else post_attempts end,
            post_doubts = case when what = 'card' then post_doubts + 1 else post_doubts end,
            post_error = case when what = 'given up'
                              then coalesce(post_error, 'the pods that attempted it died; the card may be there')
                              else post_error end,
            posting_until = case when what = 'card' then now() + %(lease)s::interval else posting_until end,
            reminders_left = case when what = 'reminder' then reminders_left - 1 else reminders_left end,
            escalated_at = case when what = 'escalation' then now() else escalated_at end
        from held
        where pending.id = held.id
          and {LIMITS}
        returning pending.id as question_id, ask_number, organization_id, connection_id, expected_user_id as user_id,
                  jsonb_build_object('question', entry_payload -> 'question')::text as payload, what,
                  card::text as card, post_attempts as attempt, post_doubts > 1 as is_in_doubt,
                  case when escalate_at <= now() then escalate_to end as escalated_to,
                  {readable("expires_at")} as expires_at, post_error
    ),
    {_LEASE_TRAIL}
    select question_id, ask_number, organization_id, connection_id, user_id, payload, what, card, attempt, is_in_doubt,
           escalated_to, expires_at
    from leased
"""

_FAILURE_TRAIL = trail(
    "failed",
    "case when is_given_up then 'given_up' else 'not_posted' end",
    attempt="post_attempts",
    detail="post_error",
)

# Zero rows: the card is known to be there or the caller's own to show, the question has ended or was asked again, or
# another pod's attempt began.
MARK_NOT_POSTED = f"""
    with failed as (
        update pending_interactions
        set post_due_at = case when %(permanent)s or post_attempts >= %(most_attempts)s
                                    or not %(is_sure)s and post_doubts >= %(most_doubts)s
                               then 'infinity' else now() + %(retry_in)s::interval end,
            post_doubts = case when %(is_sure)s then greatest(post_doubts, 1) - 1 else post_doubts end,
            post_error = %(error)s,
            posting_until = null
        where id = %(id)s and ask_number = %(ask_number)s and post_attempts = %(attempt)s
          and posted_at is null and claimed_at is null and post_due_at is not null
          and {LIMITS}
        returning id, ask_number, organization_id, post_attempts, post_error,
                  post_due_at = 'infinity' as is_given_up
    ),
    {_FAILURE_TRAIL}
    select is_given_up
    from failed
"""

# A pod that closes gives back the cards of which nothing was sent: due now, and none of these attempts is the last one.
# What somebody has locked is passed by, and its id returned: one row must not keep the others.
_IS_GIVEN = """post_attempts = attempt and posted_at is null and claimed_at is null and post_due_at is not null"""
GIVE_BACK_POSTS = f"""
    with given as materialized (
        select id, ask_number, attempt
        from unnest(%(ids)s::text[], %(ask_numbers)s::bigint[], %(attempts)s::integer[])
             as given (id, ask_number, attempt)
    ),
    free as materialized (
        select pending.id, attempt
        from given
        join pending_interactions as pending using (id, ask_number)
        where {_IS_GIVEN}
          and {LIMITS}
        for no key update of pending skip locked
    ),
    back as (
        update pending_interactions as pending
        set post_due_at = now(),
            post_attempts = least(post_attempts, %(most_attempts)s - 1),
            post_doubts = greatest(post_doubts, 1) - 1,
            post_error = 'the pod closed before it was sent',
            posting_until = null
        from free
        where pending.id = free.id
        returning pending.id, ask_number, organization_id, attempt, post_error
    ),
    {trail("back", "'not_posted'", attempt="attempt", detail="post_error")}
    select id
    from given
    join pending_interactions using (id, ask_number)
    where {_IS_GIVEN} and id not in (select id from back)
"""
