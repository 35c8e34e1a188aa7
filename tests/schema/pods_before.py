"""The statements of the version before migration 0006, word for word, as its pods still run them meanwhile."""

from __future__ import annotations

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
    returning ask_number, entry_payload, claimed_at, lease_token, card
"""

INSERT = """
    insert into pending_interactions
        (id, organization_id, connection_id, expected_user_id, entry_payload, awaited_until)
    values (%(id)s, %(organization_id)s, %(connection_id)s, %(expected_user_id)s, %(payload)s::jsonb,
            now() + %(awaited_for)s::interval)
    on conflict (id) do nothing
    returning ask_number, created_at, xmin::text as row_version
"""

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
    returning id, ask_number, answer, organization_id, connection_id, coalesce(answered_by, expected_user_id),
              entry_payload, claimed_at, lease_token, delivery_attempts, now() as leased_at
"""

MARK_DELIVERED = """
    update pending_interactions
    set delivery_due_at = null, lease_token = null, delivery_error = null, delivered_at = now()
    where id = %(id)s and ask_number = %(ask_number)s and lease_token = %(lease_token)s
    returning id
"""

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
    returning id, ask_number, connection_id, card, entry_payload, answer,
              coalesce(answered_by, expected_user_id), claimed_at, withdrawn_at
"""

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
