"""Every SQL statement on the tables, named, in one place; `store` runs them.

Each statement of the claim path carries the id, so that on an engine that shards by primary key it goes to one
shard. Nothing relies on a row's place (ctid), and every time is the database's.
"""

# A row as `refusal.FoundRow` has it.
_ROW = """
    organization_id, connection_id, expected_user_id, entry_payload, created_at, claimed_at, ask_number,
    answer, delivery_key, xmin::text as row_version
"""

# The winning click is the one whose update finds the row unclaimed. Postgres locks the row, and a second update
# that waited for the lock evaluates the condition again on the new version (manual, section 13.2.1), so of any
# number of concurrent clicks exactly one gets a row back. Never select first.
CLAIM = f"""
    update pending_interactions
    set claimed_at = now(), answer = %(answer)s, delivery_key = %(delivery_key)s
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
      and (%(ask_number)s::integer is null or ask_number = %(ask_number)s)
    returning {_ROW}
"""

LOOK = f"""
    select {_ROW}
    from pending_interactions
    where id = %(id)s
"""

# A click that lost is told why in the same round trip; a look of its own would double what such clicks cost. It is
# told of the row as it stood when the statement began: who waited for the winner sees it unclaimed, and claims
# again.
CLAIM_OR_LOOK = f"""
    with claimed as ({CLAIM})
    select true as won, claimed.*
    from claimed
    union all
    select false as won, found.*
    from ({LOOK}) as found
    where not exists (select from claimed)
"""

INSERT = """
    insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)
    values (%(id)s, %(organization_id)s, %(connection_id)s, %(expected_user_id)s, %(payload)s::jsonb)
    on conflict (id) do nothing
    returning ask_number, created_at, xmin::text as row_version
"""

# created_at stays: a retry must not extend the row's life.
REFRESH = """
    update pending_interactions
    set entry_payload = %(payload)s::jsonb
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
    returning ask_number, created_at, xmin::text as row_version
"""

# A reopened question is a new asking: its life starts now, or the sweep would take it at once.
REOPEN = """
    update pending_interactions
    set entry_payload = %(payload)s::jsonb,
        ask_number = ask_number + 1,
        created_at = now(),
        claimed_at = null, answer = null, delivery_key = null
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is not null
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

DELETE = """
    delete from pending_interactions
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
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
        limit %(cap)s
    ) as stale
"""

_SUMMARY_COLUMNS = """
    id, organization_id, connection_id, expected_user_id, created_at, claimed_at, ask_number,
    case
        when claimed_at is not null then 'claimed'
        when created_at < now() - %(max_age)s::interval then 'stale'
        else 'pending'
    end as state,
    extract(epoch from now() - created_at)::float8 as age_seconds,
    entry_payload #>> '{question,text}' as question
"""

GET = f"""
    select {_SUMMARY_COLUMNS}, entry_payload as payload, answer, delivery_key
    from pending_interactions
    where id = %(id)s
"""

FIND = f"""
    select {_SUMMARY_COLUMNS}
    from pending_interactions
    where (%(organization_id)s::text is null or organization_id = %(organization_id)s)
      and (%(connection_id)s::text is null or connection_id = %(connection_id)s)
      and (%(expected_user_id)s::text is null or expected_user_id = %(expected_user_id)s)
      and (%(older_than)s::interval is null or created_at < now() - %(older_than)s::interval)
      and case %(state)s::text
              when 'claimed' then claimed_at is not null
              when 'pending' then claimed_at is null and created_at >= now() - %(max_age)s::interval
              when 'stale' then claimed_at is null and created_at < now() - %(max_age)s::interval
              else true
          end
    order by created_at, id
    limit %(limit)s
"""

# The row without an organization is the total.
COUNT = """
    select organization_id,
           count(*) filter (where claimed_at is not null) as claimed,
           count(*) filter (where claimed_at is null and created_at >= now() - %(max_age)s::interval) as pending,
           count(*) filter (where claimed_at is null and created_at < now() - %(max_age)s::interval) as stale,
           extract(epoch from now() - min(created_at) filter (where claimed_at is null))::float8 as oldest
    from pending_interactions
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
