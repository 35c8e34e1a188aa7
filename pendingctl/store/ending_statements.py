"""The statements by which questions end without a click, and by which they are swept.

Returned columns have the names of the fields they fill.
"""

from .statements import EVENTS_WAIT, IS_BEFORE_ITS_DEADLINE, LIMITS, OUTCOME, accepts, readable
from .trail_statements import trail


def _heard_at(outcome: str) -> str:
    """Return when an ending that is no person's answer may be leased: first by an asker that waits, and then by pods.

    Null where the application's worker does not want to hear of it.
    """
    return f"""case
            when awaited_until > statement_timestamp() and awaited_by is distinct from %(awaited_by)s::uuid
            then awaited_until
            when coalesce((select {outcome} = any (outcomes)
                           from pending_applications as heard
                           where heard.application = pending.application), {outcome} = 'defaulted')
            then statement_timestamp() end"""


WITHDRAWN = f"""claimed_at = now(), withdrawn_at = now(), card_attempts = 0,
        ending_due_at = {_heard_at("'withdrawn'")},
        card_due_at = case when card is not null or retired_cards is not null then now() end"""

# Like a claim it finds the row unclaimed or loses, and claimed_at keeps every later click out. An asker closes only the
# question that it still waits for. Past its deadline a question has expired, whether or not a pod has noted that yet.
WITHDRAW = f"""
    with withdrawn as (
        update pending_interactions as pending
        set {WITHDRAWN}
        where id = %(id)s
          and organization_id = %(organization_id)s
          and connection_id = %(connection_id)s
          and expected_user_id = %(expected_user_id)s
          and claimed_at is null
          and {IS_BEFORE_ITS_DEADLINE}
          and (%(awaited_by)s::uuid is null or awaited_by = %(awaited_by)s)
          and {LIMITS}
        returning id, ask_number, organization_id
    ),
    {trail("withdrawn", "'withdrawn'")}
    select id
    from withdrawn
"""

EXTENDED = "expires_at = least(expires_at + %(by)s::interval, clock.now + interval '10 years')"
MAY_BE_EXTENDED = "expires_at > clock.now and (awaited_until > clock.now) is not true"
EXPIRES_AS_ISO = "to_json(expires_at) #>> '{}'"

# Locks first and then reads the clock, as CLAIM_AFTER_WAITING does: a click that came after the deadline was refused.
# An asker waits until the deadline and no longer: it would take the question back then.
EXTEND = f"""
    with held as materialized (
        select id
        from pending_interactions
        where id = %(id)s
          and organization_id = %(organization_id)s
          and connection_id = %(connection_id)s
          and expected_user_id = %(expected_user_id)s
          and claimed_at is null
          and expires_at is not null
          and {LIMITS}
        for no key update
    ),
    extended as (
        update pending_interactions as pending
        set {EXTENDED}
        from held cross join lateral (select clock_timestamp() as now where held.id is not null) as clock
        where pending.id = held.id and {MAY_BE_EXTENDED}
        returning pending.id, ask_number, organization_id, {readable("expires_at")} as expires_at
    ),
    {trail("extended", "'extended'", detail=EXPIRES_AS_ISO)}
    select expires_at
    from extended
"""

# The default is the answer only if somebody could have given another one: of a question whose card was never posted
# nobody knew.
_IS_DEFAULTED = f"(default_answer is not null and posted_at is not null and {accepts('default_answer')}) is true"
# By the statement's clock, as it may be one of a transaction of the caller's that began before the deadline.
_EXPIRED = f"""outcome = case when {_IS_DEFAULTED} then 'defaulted' else 'expired' end,
        claimed_at = statement_timestamp(), answer = case when {_IS_DEFAULTED} then default_answer end, pod = %(pod)s,
        withdrawn_at = case when {_IS_DEFAULTED} then null else statement_timestamp() end,
        delivery_key = null, answered_by = null, lease_token = null, delivery_attempts = 0, delivery_error = null,
        ending_due_at = {_heard_at(f"case when {_IS_DEFAULTED} then 'defaulted' else 'expired' end")},
        card_attempts = 0,
        card_due_at = case when card is not null or retired_cards is not null then statement_timestamp() end"""

# Whoever locks the row first ends the question: a click, a withdrawal or this. What changes its mind meanwhile (an
# extended deadline) is seen by the lock.
EXPIRE = f"""
    with ended as (
        update pending_interactions as pending
        set {_EXPIRED}
        where id = any (array(
            select id
            from pending_interactions
            where application = %(application)s and claimed_at is null and expires_at <= now()
            order by expires_at
            limit %(limit)s
            for no key update skip locked
        ))
          and {LIMITS}
        returning id, ask_number, organization_id, outcome
    ),
    {trail("ended", "outcome")}
    select id
    from ended
"""

# The question of an asker, or of another caller that looks at it, which may come before the pods or have none.
EXPIRE_ONE = f"""
    with ended as (
        update pending_interactions as pending
        set {_EXPIRED}
        where id = %(id)s and ask_number = %(ask_number)s and claimed_at is null and expires_at <= statement_timestamp()
          and {LIMITS}
        returning id, ask_number, organization_id, outcome
    ),
    {trail("ended", "outcome")}
    select id
    from ended
"""

# An open question's age counts from its asking, or from its deadline if it has one, an ended one's from its end. A card
# that is due, and shows less than its row, keeps the row for as long again at most, also while a pod tries to edit it;
# so does one that is still to be posted. Accepted answers stay until they are delivered, other endings for some days,
# and as long a question whose default is to answer it, and that no pod has ended.
_AGED = "coalesce(claimed_at, created_at)"
_IS_STALE = f"""{_AGED} < now() - %(max_age)s::interval
          and ((card_due_at <= now() or card_due_at is not null and card_attempts > 0
                or claimed_at is null and posted_at is null and post_due_at < 'infinity'
                or {EVENTS_WAIT}) is not true
               or {_AGED} < now() - %(max_age)s::interval * 2)
          and (claimed_at is not null or (expires_at >= now() - %(max_age)s::interval) is not true)
          and (%(include_undelivered)s or claimed_at is not null or not {_IS_DEFAULTED}
               or expires_at < now() - %(endings_kept)s::interval)
          and (%(include_undelivered)s or delivery_due_at is null)
          and (%(include_undelivered)s or ending_due_at is null or claimed_at < now() - %(endings_kept)s::interval)"""

# What is open and stale expires where the application's worker wants to hear of it, or its ending is to stand on a
# stream, and is deleted elsewhere.
_HEARS_OF_IT = (
    "application = any (array(select application from pending_applications where 'expired' = any (outcomes)))"
)

# Where no worker does, no row is looked at.
EXPIRE_STALE = f"""
    with ended as (
        update pending_interactions as pending
        set {_EXPIRED}
        where id = any (array(
            select id
            from pending_interactions
            where {_IS_STALE}
              and claimed_at is null
              and {_HEARS_OF_IT}
              and (select exists (select from pending_applications where 'expired' = any (outcomes)))
            order by {_AGED}
            limit %(batch_size)s
            for no key update skip locked
        ))
          and {LIMITS}
        returning id, ask_number, organization_id, outcome
    ),
    {trail("ended", "outcome")}
    select id, false as is_unheard
    from ended
"""

EXPIRE_STALE_OF_STREAMS = f"""
    with ended as (
        update pending_interactions as pending
        set {_EXPIRED}
        where id = any (array(
            select id
            from pending_interactions
            where {_IS_STALE}
              and claimed_at is null and stream is not null
              and created_at < now() - %(max_age)s::interval
            order by created_at
            limit %(batch_size)s
            for no key update skip locked
        ))
          and {LIMITS}
        returning id, ask_number, organization_id, outcome
    ),
    {trail("ended", "outcome")}
    select id, false as is_unheard
    from ended
"""

# The array makes Postgres find the rows once and then delete them by primary key; how much that gains over
# `id in (select … limit n)` depends on the rows (scripts/bench). Rows that a claim has locked are left for the next
# sweep, and the lock looks at each row again.
SWEEP = f"""
    with swept as (
        delete from pending_interactions as pending
        where id = any (array(
            select id
            from pending_interactions
            where {_IS_STALE}
              and (claimed_at is not null or stream is null and not ({_HEARS_OF_IT}))
            order by {_AGED}
            limit %(batch_size)s
            for update skip locked
        ))
        returning id, ask_number, organization_id, {OUTCOME} as outcome,
                  ending_due_at is not null or claimed_at is null and {_IS_DEFAULTED} as is_unheard
    ),
    {trail("swept", "'swept'", detail="coalesce(outcome, 'open')")}
    select id, is_unheard
    from swept
"""

COUNT_STALE = f"""
    select count(*)
    from (
        select 1
        from pending_interactions
        where {_IS_STALE}
        order by {_AGED}
        limit %(cap)s
    ) as stale
"""

# How long ago the first row became one that a sweep takes.
OLDEST_STALE = f"""
    select extract(epoch from now() - %(max_age)s::interval - {readable(_AGED)})::float8 as overdue_seconds
    from pending_interactions
    where {_IS_STALE}
    order by {_AGED}
    limit 1
"""

COUNT_STALE_UNDELIVERED = f"""
    select count(*)
    from pending_interactions
    where delivery_due_at is not null and {_AGED} < now() - %(max_age)s::interval
"""

# The first pod that finds the last cycle old enough begins the next one; the others wait for the row and then find it
# young. A beginning in the future is a clock that was wrong then.
BEGIN_SWEEP = """
    with begun as (
        update sweep_cycle
        set began_at = now(), pod = %(pod)s
        where began_at <= now() - %(every)s::interval or began_at > now() + interval '1 minute'
        returning began_at
    )
    select exists (select from begun) as is_ours,
           extract(epoch from coalesce((select began_at from begun),
                                       least(greatest(began_at, now() - %(every)s::interval), now()))
                              + %(every)s::interval - now())::float8 as next_in_seconds
    from sweep_cycle
"""
