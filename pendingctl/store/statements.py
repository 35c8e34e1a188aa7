"""Every SQL statement on the tables, named, in one place. Returned columns have the names of the fields they fill.

Each statement of the claim path carries the id, so that an engine that shards by primary key sends it to one shard.
Nothing relies on a row's place (ctid), and every time is the database's.
"""

# The winning click is the one whose update finds the row unclaimed. Postgres locks the row, and a second update
# that waited for the lock evaluates the condition again on the new version (manual, section 13.2.1), so of any
# number of concurrent clicks exactly one gets a row back. Never select first.
#
# From then on the row is the truth about the answer. With a lease it is undelivered until it is marked, and whoever
# holds the token delivers it; without one the caller has it. While somebody waits to read it no pod delivers it.
CLAIM = """
    update pending_interactions
    set claimed_at = now(), answer = %(answer)s, delivery_key = %(delivery_key)s,
        answered_by = %(expected_user_id)s, pod = %(pod)s,
        delivery_due_at = case when %(lease)s::interval is not null
                               then greatest(now() + %(lease)s::interval, awaited_until) end,
        lease_token = case when awaited_until > now() then null else %(lease_token)s::uuid end,
        delivery_attempts = case when awaited_until > now() or %(lease)s::interval is null then 0 else 1 end,
        delivery_error = null,
        delivered_at = case when %(lease)s::interval is null then now() end,
        withdrawn_at = null,
        card_due_at = case when card is not null then now() + coalesce(%(lease)s::interval, '0') end,
        card_attempts = 0
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
      and (%(ask_number)s::integer is null or ask_number = %(ask_number)s)
      and (jsonb_typeof(entry_payload #> '{question,options}') is distinct from 'array'
           or entry_payload #> '{question,options}' = '[]'
           or entry_payload #> '{question,options}' ? %(answer)s)
    returning id, ask_number, entry_payload as payload, claimed_at, lease_token, card
"""

# Read after a statement matched no row, to explain why; `refusal.FoundRow` has these fields.
LOOK = """
    select organization_id, connection_id, expected_user_id, entry_payload, created_at, claimed_at, ask_number,
           answer, delivery_key, answered_by, withdrawn_at, delivery_due_at is not null as is_undelivered,
           xmin::text as row_version
    from pending_interactions
    where id = %(id)s
"""

INSERT = """
    insert into pending_interactions
        (id, organization_id, connection_id, expected_user_id, entry_payload, awaited_until)
    values (%(id)s, %(organization_id)s, %(connection_id)s, %(expected_user_id)s, %(payload)s::jsonb,
            now() + %(awaited_for)s::interval)
    on conflict (id) do nothing
    returning ask_number, created_at, xmin::text as row_version
"""

# created_at stays: a retry must not extend the row's life. So does awaited_until: who asks and waits has the answer
# also when a pod stores the question again to post its card.
REFRESH = """
    update pending_interactions
    set entry_payload = %(payload)s::jsonb,
        awaited_until = coalesce(now() + %(awaited_for)s::interval, awaited_until)
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
    returning ask_number, created_at, xmin::text as row_version
"""

# A reopened question is a new asking: its life starts now, or the sweep would take it at once. Never while the
# answer of the last asking is undelivered: it would be lost.
REOPEN = """
    update pending_interactions
    set entry_payload = %(payload)s::jsonb,
        ask_number = ask_number + 1,
        created_at = now(),
        claimed_at = null, answer = null, delivery_key = null, answered_by = null, pod = null,
        lease_token = null, delivery_attempts = 0, delivery_error = null, delivered_at = null,
        awaited_until = now() + %(awaited_for)s::interval,
        withdrawn_at = null, posted_at = null, card = null, card_due_at = null, card_attempts = 0
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is not null
      and delivery_due_at is null
    returning ask_number, created_at, xmin::text as row_version
"""

# One statement a batch; rows that exist already are left for `put`, one by one.
INSERT_MANY = """
    insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)
    select id, organization_id, connection_id, expected_user_id, payload::jsonb
    from unnest(%(ids)s::text[], %(organization_ids)s::text[], %(connection_ids)s::text[],
                %(expected_user_ids)s::text[], %(payloads)s::text[])
         as incoming (id, organization_id, connection_id, expected_user_id, payload)
    order by id
    on conflict (id) do nothing
    returning id
"""

# Undelivered answers are deleted only on request.
DELETE = """
    delete from pending_interactions
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and (%(include_undelivered)s or delivery_due_at is null)
    returning id
"""

# Like a claim it finds the row unclaimed or loses, and claimed_at keeps every later click out.
WITHDRAW = """
    update pending_interactions
    set claimed_at = now(), withdrawn_at = now(), card_attempts = 0,
        card_due_at = case when card is not null then now() end
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
    returning id
"""

# xmin is the transaction that wrote this version of the row, so a claim or another put in between keeps the row
# (manual, section 5.6 "System Columns").
DELETE_UNTOUCHED = """
    delete from pending_interactions
    where id = %(id)s and xmin = %(row_version)s::xid and claimed_at is null
    returning id
"""

# The array makes Postgres find the rows once and then delete them by primary key; how much that gains over
# `id in (select … limit n)` depends on the rows (scripts/bench). Rows that a claim has locked are left for the next
# sweep, and the lock looks at each row again.
SWEEP = """
    delete from pending_interactions
    where id = any (array(
        select id
        from pending_interactions
        where created_at < now() - %(max_age)s::interval
          and (%(include_undelivered)s or delivery_due_at is null)
        order by created_at
        limit %(batch_size)s
        for update skip locked
    ))
    returning id
"""

COUNT_STALE = """
    select count(*)
    from (
        select 1
        from pending_interactions
        where created_at < now() - %(max_age)s::interval
          and (%(include_undelivered)s or delivery_due_at is null)
        limit %(cap)s
    ) as stale
"""

COUNT_STALE_UNDELIVERED = """
    select count(*)
    from pending_interactions
    where delivery_due_at is not null and created_at < now() - %(max_age)s::interval
"""

# Whoever finds the last cycle old enough begins the next one; the others wait for the row and then find it young.
BEGIN_SWEEP = """
    with begun as (
        update sweep_cycle
        set began_at = now(), pod = %(pod)s
        where began_at <= now() - %(every)s::interval
        returning began_at
    )
    select exists (select from begun) as is_ours,
           extract(epoch from coalesce((select began_at from begun), greatest(began_at, now() - %(every)s::interval))
                              + %(every)s::interval - now())::float8 as next_in_seconds
    from sweep_cycle
"""

# What an idle pod asks: two looks at an index, nothing locked.
DUE = """
    select exists (select from pending_interactions where delivery_due_at <= now()) as answers,
           exists (
               select
               from pending_interactions
               where card_due_at <= now()
                 and (organization_id, connection_id) in (
                     select * from unnest(%(organization_ids)s::text[], %(connection_ids)s::text[])
                 )
           ) as cards
"""

# The lease is taken by whoever locks the row first; another pod passes it over. An answer whose attempts are used
# up, by pods that died over it too, is handed to a person instead: it is due at infinity.
LEASE = """
    update pending_interactions
    set delivery_due_at = case when delivery_attempts < %(most_attempts)s
                               then now() + %(lease)s::interval else 'infinity' end,
        lease_token = case when delivery_attempts < %(most_attempts)s then gen_random_uuid() end,
        delivery_attempts = least(delivery_attempts + 1, %(most_attempts)s),
        delivery_error = case when delivery_attempts < %(most_attempts)s then delivery_error
                              else coalesce(delivery_error, 'no pod lived to say what became of the attempts') end
    where id = any (array(
        select id
        from pending_interactions
        where delivery_due_at <= now()
        order by delivery_due_at
        limit %(limit)s
        for update skip locked
    ))
    returning id as question_id, ask_number, answer as value, organization_id, connection_id,
              coalesce(answered_by, expected_user_id) as user_id, entry_payload as payload, claimed_at,
              lease_token as token, delivery_attempts as attempt, now() as leased_at
"""

# Zero rows: the lease ran out and somebody else has it, or the question was asked again since.
MARK_DELIVERED = """
    update pending_interactions
    set delivery_due_at = null, lease_token = null, delivery_error = null, delivered_at = now()
    where id = %(id)s and ask_number = %(ask_number)s and lease_token = %(lease_token)s
    returning id
"""

MARK_FAILED = """
    update pending_interactions
    set delivery_due_at = case when %(permanent)s or delivery_attempts >= %(most_attempts)s
                               then 'infinity' else now() + %(retry_in)s::interval end,
        lease_token = null,
        delivery_error = %(error)s
    where id = %(id)s and ask_number = %(ask_number)s and lease_token = %(lease_token)s
    returning delivery_due_at = 'infinity' as is_stuck
"""

# Whoever asked and waited has read the answer, whoever holds a lease on it.
MARK_READ = """
    update pending_interactions
    set delivery_due_at = null, lease_token = null, delivery_error = null, delivered_at = now()
    where id = %(id)s and ask_number = %(ask_number)s and delivery_due_at is not null
"""

REDELIVER = """
    update pending_interactions
    set delivery_due_at = now(), lease_token = null, delivery_attempts = 0, delivered_at = null
    where id = any (%(ids)s) and claimed_at is not null and withdrawn_at is null
    returning id
"""

STUCK = """
    select id
    from pending_interactions
    where delivery_due_at = 'infinity'
    order by claimed_at, id
"""

# What is known of cards may be forgotten when the server crashes: at worst one is edited once more. So nobody waits
# until that is on the disk (manual, section 28.4 "Asynchronous Commit"); the setting ends with the statement's
# transaction.
_WITHOUT_WAITING = "(select set_config('synchronous_commit', 'off', true)) as without_waiting"

# A card is due again when its question is stale, or at once if that was answered while the card was posted. A row that
# somebody has locked is passed by, and its id returned: a statement that waited for one row would keep the others of
# its batch from the clicks that come for them.
MARK_POSTED = f"""
    with posted as materialized (
        select *
        from unnest(%(ids)s::text[], %(ask_numbers)s::integer[], %(cards)s::text[]) as posted (id, ask_number, card)
    ),
    free as materialized (
        select pending.id, pending.ask_number
        from posted
        join pending_interactions as pending using (id, ask_number)
        for update of pending skip locked
    ),
    noted as (
        update pending_interactions as pending
        set posted_at = now(), card = posted.card::jsonb, card_attempts = 0,
            card_due_at = case when posted.card is null then null
                               when claimed_at is null then created_at + %(max_age)s::interval
                               else now() end
        from {_WITHOUT_WAITING}, posted join free using (id, ask_number)
        where pending.id = posted.id and pending.ask_number = posted.ask_number
        returning pending.id
    )
    select id
    from posted
    join pending_interactions using (id, ask_number)
    where id not in (select id from noted)
"""

# A card that cannot be edited is tried again later and later, without anybody having to say that it failed.
LEASE_CARDS = """
    update pending_interactions
    set card_due_at = now() + least(%(lease)s::interval * 2 ^ card_attempts, interval '1 hour'),
        card_attempts = card_attempts + 1
    where id = any (array(
        select id
        from pending_interactions
        where card_due_at <= now()
          and (organization_id, connection_id) in (
              select * from unnest(%(organization_ids)s::text[], %(connection_ids)s::text[])
          )
        order by card_due_at
        limit %(limit)s
        for update skip locked
    ))
    returning id as question_id, ask_number, connection_id, card, entry_payload as payload, answer,
              coalesce(answered_by, expected_user_id) as answered_by, claimed_at, withdrawn_at
"""

# A row that has moved on since its card was edited stays due: claimed_at tells one end of an asking from another, and
# the card itself one that was posted again meanwhile.
MARK_EDITED = f"""
    with edited as materialized (
        select *
        from unnest(%(ids)s::text[], %(ask_numbers)s::integer[], %(cards)s::text[], %(claimed_at)s::timestamptz[])
             as edited (id, ask_number, card, claimed_at)
    ),
    free as materialized (
        select pending.id
        from edited
        join pending_interactions as pending using (id, ask_number)
        where card_due_at is not null
          and pending.claimed_at is not distinct from edited.claimed_at
          and pending.card is not distinct from edited.card::jsonb
        for update of pending skip locked
    ),
    noted as (
        update pending_interactions as pending
        set card_due_at = null
        from {_WITHOUT_WAITING}, free
        where pending.id = free.id
        returning pending.id
    )
    select id
    from edited
    join pending_interactions as pending using (id, ask_number)
    where card_due_at is not null
      and pending.claimed_at is not distinct from edited.claimed_at
      and pending.card is not distinct from edited.card::jsonb
      and id not in (select id from noted)
"""

_STATE = """
    case
        when delivery_due_at = 'infinity' then 'stuck'
        when delivery_due_at is not null then 'undelivered'
        when claimed_at is not null and withdrawn_at is not null then 'withdrawn'
        when claimed_at is not null then 'claimed'
        when created_at < now() - %(max_age)s::interval then 'stale'
        else 'pending'
    end
"""

_SUMMARY_COLUMNS = f"""
    id, organization_id, connection_id, expected_user_id, created_at, claimed_at, ask_number,
    {_STATE} as state,
    extract(epoch from now() - created_at)::float8 as age_seconds,
    entry_payload #>> '{{question,text}}' as question
"""

GET = f"""
    select {_SUMMARY_COLUMNS}, entry_payload as payload, answer, delivery_key, answered_by, pod,
           delivery_attempts, delivery_error, delivered_at, withdrawn_at, posted_at, card
    from pending_interactions
    where id = %(id)s
"""

# The states of few rows are named once more beside the expression, so that their index serves them.
FIND = f"""
    select {_SUMMARY_COLUMNS}
    from pending_interactions
    where (%(organization_id)s::text is null or organization_id = %(organization_id)s)
      and (%(connection_id)s::text is null or connection_id = %(connection_id)s)
      and (%(expected_user_id)s::text is null or expected_user_id = %(expected_user_id)s)
      and (%(older_than)s::interval is null or created_at < now() - %(older_than)s::interval)
      and (%(state)s::text is null or {_STATE} = %(state)s)
      and (%(state)s::text is null or %(state)s not in ('stuck', 'undelivered') or delivery_due_at is not null)
      and (%(card)s::text is distinct from 'behind' or card_due_at <= now())
      and (%(card)s::text is distinct from 'never-posted' or (posted_at is null and claimed_at is null))
    order by created_at, id
    limit %(limit)s
"""

# The row without an organization is the total.
COUNT = f"""
    select organization_id,
           count(*) filter (where state = 'claimed') as claimed,
           count(*) filter (where state = 'withdrawn') as withdrawn,
           count(*) filter (where state = 'undelivered') as undelivered,
           count(*) filter (where state = 'stuck') as stuck,
           count(*) filter (where state = 'pending') as pending,
           count(*) filter (where state = 'stale') as stale,
           extract(epoch from now() - min(created_at) filter (where claimed_at is null))::float8 as oldest_pending,
           extract(epoch from now() - min(claimed_at) filter (where state in ('undelivered', 'stuck')))::float8
               as oldest_undelivered
    from (select organization_id, created_at, claimed_at, {_STATE} as state from pending_interactions) as rows
    group by grouping sets ((), (organization_id))
    order by organization_id nulls first
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
