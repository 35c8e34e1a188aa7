"""The statements of leases on answers and cards. Returned columns have the names of the fields they fill."""

from typing import LiteralString

from .put_statements import ENDED
from .statements import LIMITS, OUTCOME, REMIND_EVERY, accepts, readable

# What a row's ending waits for: an answer in delivery_due_at, every other ending in a column of its own.
_ANSWERS, _ENDINGS = "delivery_due_at", "ending_due_at"


def _tenants(due_at: LiteralString) -> LiteralString:
    """Return an application's tenants with undelivered endings, one look at the index each."""
    return f"""
    recursive tenant (organization_id) as (
        select min(organization_id)
        from pending_interactions
        where application = %(application)s and {due_at} is not null and organization_id > %(after)s
        union all
        select (select min(pending.organization_id)
                from pending_interactions as pending
                where application = %(application)s and {due_at} is not null
                  and pending.organization_id > tenant.organization_id)
        from tenant
        where tenant.organization_id is not null
    )
"""


def _first_due_of_tenant(due_at: LiteralString) -> LiteralString:
    return f"""(
                   select min({due_at})
                   from pending_interactions as pending
                   where application = %(application)s and pending.organization_id = tenant.organization_id
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
               with {_tenants(_ANSWERS)}
               select exists (select from tenant where {_first_due_of_tenant(_ANSWERS)} <= now())
           ) as answers,
           (
               with {_tenants(_ENDINGS)}
               select exists (select from tenant where {_first_due_of_tenant(_ENDINGS)} <= now())
           ) as endings,
           {_is_due("card_due_at")} as cards,
           {_is_due("post_due_at", "and claimed_at is null")} as posts,
           coalesce((
               select min(expires_at)
               from pending_interactions
               where application = %(application)s and claimed_at is null
           ) <= now(), false) as deadlines
"""


# Why a default was no answer; a card that was noted after the deadline was none before it.
_LEASED_ENDING = f"""pending.id as question_id, ask_number, answer as value, organization_id, connection_id,
              expected_user_id as user_id, entry_payload::text as payload, {readable("claimed_at")} as claimed_at,
              case when {OUTCOME} = 'answered' then coalesce(answered_by, expected_user_id) end as answered_by,
              {OUTCOME} as outcome, lease_token as token,
              case when outcome = 'expired' and default_answer is not null
                   then case when {accepts("default_answer")} then 'its card was never posted'
                             else 'the default is none of its options' end end as reason,
              delivery_attempts as attempt, now() as leased_at"""


def _lease(due_at: LiteralString) -> LiteralString:
    """Return the statement that leases what is due.

    Tenants take turns: the oldest of each first, then each one's second, of those that have something due and are not
    busy, or answers that wait for their time would keep all who come after from their turn. The lease is taken by
    whoever locks the row first; another pod passes it over, and finds others among the candidates. An ending whose
    attempts are used up, also by pods that died over it, is handed to a person instead: it is due at infinity.
    """
    return f"""
    with {_tenants(due_at)},
    turn as (
        select due.id, row_number() over (partition by due.organization_id order by due.{due_at}) as turn,
               due.{due_at}
        from (
            select organization_id
            from tenant
            where organization_id <> all (%(busy)s::text[])
              and {_first_due_of_tenant(due_at)} <= now()
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
    )
    update pending_interactions as pending
    set {due_at} = case when delivery_attempts < %(most_attempts)s
                               then now() + %(lease)s::interval else 'infinity' end,
        lease_token = case when delivery_attempts < %(most_attempts)s then gen_random_uuid() end,
        delivery_attempts = least(delivery_attempts, %(most_attempts)s - 1) + 1,
        delivery_error = case when delivery_attempts < %(most_attempts)s then delivery_error
                              else coalesce(delivery_error, 'the pods that attempted it died') end
    from held
    where pending.id = held.id
    returning {_LEASED_ENDING}
"""


LEASE = _lease(_ANSWERS)
LEASE_ENDINGS = _lease(_ENDINGS)

_LEASED = "id = %(id)s and ask_number = %(ask_number)s and lease_token = %(lease_token)s"

# Zero rows: the lease ran out and another pod took it, or the question was asked again since.
MARK_DELIVERED = f"""
    update pending_interactions
    set delivery_due_at = null, ending_due_at = null, lease_token = null, delivery_error = null, delivered_at = now()
    where {_LEASED}
      and {LIMITS}
    returning id
"""

_RETRY_AT = """case when %(permanent)s or delivery_attempts >= %(most_attempts)s
                               then 'infinity' else now() + %(retry_in)s::interval end"""
MARK_FAILED = f"""
    update pending_interactions
    set delivery_due_at = case when delivery_due_at is not null then {_RETRY_AT} end,
        ending_due_at = case when ending_due_at is not null then {_RETRY_AT} end,
        lease_token = null,
        delivery_error = %(error)s
    where {_LEASED}
      and {LIMITS}
    returning coalesce(delivery_due_at, ending_due_at) = 'infinity' as is_stuck
"""

# A hand-over that never began is no attempt.
RELEASE = f"""
    update pending_interactions
    set delivery_due_at = case when delivery_due_at is not null then now() end,
        ending_due_at = case when ending_due_at is not null then now() end,
        lease_token = null, delivery_attempts = greatest(delivery_attempts, 1) - 1
    where {_LEASED}
      and {LIMITS}
    returning id
"""

REDELIVER = f"""
    update pending_interactions as pending
    set delivery_due_at = case when {OUTCOME} = 'answered' then now() end,
        ending_due_at = case when {OUTCOME} <> 'answered' then now() end,
        lease_token = null, delivery_attempts = 0, delivered_at = null
    where id = any (%(ids)s) and application = %(application)s and claimed_at is not null
      and {LIMITS}
    returning id
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
    update pending_interactions as pending
    set delivery_due_at = case when delivery_due_at is not null then now() + %(lease)s::interval end,
        ending_due_at = case when ending_due_at is not null then now() + %(lease)s::interval end,
        lease_token = gen_random_uuid(), delivery_attempts = 1
    where id = %(id)s and ask_number = %(ask_number)s and awaited_by = %(awaited_by)s
      and coalesce(delivery_due_at, ending_due_at) < 'infinity' and lease_token is null and delivery_attempts = 0
      and {LIMITS}
    returning {_LEASED_ENDING}
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

STUCK = """
    select id
    from pending_interactions
    where application = %(application)s and (delivery_due_at = 'infinity' or ending_due_at = 'infinity')
    order by claimed_at, id
"""

# What is known of cards may be forgotten when the server crashes: at worst one is edited once more, or taken for one of
# which nobody knows whether it is there. So nobody waits until that is on the disk (manual, section 28.4 "Asynchronous
# Commit"); the setting ends with the statement's transaction.
_WITHOUT_WAITING = "(select set_config('synchronous_commit', 'off', true)) as without_waiting"

# A time of asking in the far future would overflow. A question with a deadline does not go stale.
_GOES_STALE_AT = "case when expires_at is null then least(created_at, now()) + %(max_age)s::interval end"

# When a reminder or the escalation is to be posted next, of a question whose card is there by now.
_NEXT_POST = f"""least(case when reminders_left > 0 then now() + {REMIND_EVERY} end,
                              case when escalated_at is null then escalate_at end)"""

# A second card of the same question, posted since nobody knew of the first: it loses its buttons. In whatever order and
# however often they are noted, one keeps them.
_HAS_ANOTHER_CARD = "(posted.card is not null and pending.card <> posted.card::jsonb) is true"

# A card is due again when its question is stale, or at once if that was answered while the card was posted. One that is
# noted when its id was asked again already is retired. A row that somebody has locked is passed by, and its id
# returned: a statement that waited for one row would keep the others of its batch from the clicks that come for them.
_IS_OF_A_FORMER_ASKING = """(posted.ask_number < pending.ask_number and posted.card is not null
               and to_jsonb(posted.ask_number) >= pending.previous -> 'first')"""


# A note's fields as JSON, since a busy pod spends six times as long on writing an array of each; the ids as an array,
# since Postgres expects a hundred rows of JSON, and would read a small table for them.
_NOTES = """unnest(%(ids)s::text[]) with ordinality as asked (id, place)
        join json_array_elements(%(notes)s::json) with ordinality as noted (note, place) using (place)"""


def _mark_posted(is_noted: LiteralString) -> LiteralString:
    return f"""
    with posted as materialized (
        select id, (note ->> 'ask_number')::bigint as ask_number, note ->> 'card' as card
        from {_NOTES}
    ),
    free as materialized (
        select pending.id, pending.ask_number, pending.previous
        from (select distinct id from posted) as given
        join pending_interactions as pending using (id)
        where exists (select from posted where posted.id = pending.id and {is_noted})
        for update of pending skip locked
    ),
    late as (
        select pending.id,
               jsonb_agg(case when pending.previous -> 'ask_number' = to_jsonb(posted.ask_number) then pending.previous
                              else jsonb_build_object('ask_number', posted.ask_number, 'ending', 'superseded') end
                         || jsonb_build_object('card', posted.card::jsonb)) as cards
        from posted join free as pending using (id)
        where posted.ask_number < pending.ask_number and {is_noted}
        group by pending.id
    ),
    noted as (
        update pending_interactions as pending
        set posted_at = case when posted.id is null then posted_at else now() end,
            card = case when posted.id is null then pending.card else coalesce(pending.card, posted.card::jsonb) end,
            card_attempts = 0,
            posting_until = case when posted.id is null then posting_until end,
            post_due_at = case when posted.id is null then post_due_at else {_NEXT_POST} end,
            post_doubts = case when posted.id is null then post_doubts else 0 end,
            post_error = case when posted.id is null then post_error end,
            retired_cards = case
                when late.id is null and not {_HAS_ANOTHER_CARD} then retired_cards
                else jsonb_path_query_array(
                    coalesce(late.cards, '[]')
                    || case when {_HAS_ANOTHER_CARD}
                            then jsonb_build_array({ENDED} || jsonb_build_object('card', posted.card::jsonb))
                            else '[]' end
                    || coalesce(retired_cards, '[]'), '$[0 to 9]')
                end,
            card_due_at = case when late.id is not null or retired_cards is not null or {_HAS_ANOTHER_CARD} then now()
                               when posted.card is null then null
                               when claimed_at is null then {_GOES_STALE_AT}
                               else now() end
        from {_WITHOUT_WAITING}, free left join posted using (id, ask_number) left join late using (id)
        where pending.id = free.id
        returning pending.id
    )
    select id
    from posted
    join pending_interactions as pending using (id)
    where {is_noted} and id not in (select id from noted)
"""


MARK_POSTED = _mark_posted(f"(posted.ask_number = pending.ask_number or {_IS_OF_A_FORMER_ASKING})")

# An edit that called a question expired may have landed over the words of a newer asking: its card is retired anew.
RETIRE_AGAIN = _mark_posted(_IS_OF_A_FORMER_ASKING)

# Connections take turns. A card that cannot be edited is tried again later and later, without anybody having to report
# that it failed.
LEASE_CARDS = f"""
    with turn as (
        select due.id, row_number() over (partition by served.organization_id order by due.card_due_at) as turn,
               due.card_due_at
        from unnest(%(organization_ids)s::text[], %(connection_ids)s::text[])
             as served (organization_id, connection_id)
        cross join lateral (
            select id, card_due_at
            from pending_interactions as pending
            where application = %(application)s and pending.organization_id = served.organization_id
              and pending.connection_id = served.connection_id and card_due_at <= now()
            order by card_due_at
            limit %(limit)s * 4
        ) as due
    ),
    held as materialized (
        select pending.id
        from (select * from turn order by turn, card_due_at limit %(limit)s * 4) as candidate
        join pending_interactions as pending using (id)
        where pending.card_due_at <= now()
        order by candidate.turn, candidate.card_due_at
        limit %(limit)s
        for no key update of pending skip locked
    )
    update pending_interactions as pending
    set card_due_at = now() + least(%(lease)s::interval * 2 ^ least(greatest(card_attempts, 0), 12), interval '1 hour'),
        card_attempts = least(card_attempts, 1000) + 1
    from {_WITHOUT_WAITING}, held
    where pending.id = held.id
    returning pending.id as question_id, ask_number, organization_id, connection_id, card::text as card,
              jsonb_build_object('question', entry_payload -> 'question')::text as payload,
              expected_user_id as user_id, answer, coalesce(answered_by, expected_user_id) as answered_by,
              {readable("claimed_at")} as claimed_at,
              {OUTCOME} as outcome,
              retired_cards::text as retired_cards,
              expires_at is null and created_at <= now() - %(max_age)s::interval as is_stale,
              card_attempts as attempts
"""

# A row that has moved on since its card was edited stays due, or is due again, since this edit may have landed over a
# newer one: claimed_at tells one end of an asking from another, and the card itself one that was posted again since.
# The newer edit may be noted after this one, and counts no more then: one attempt is counted.
_MATCHES = f"""pending.card is not distinct from edited.card::jsonb
          and (card_due_at is not null or {readable("pending.claimed_at")} is distinct from edited.claimed_at)"""
MARK_EDITED = f"""
    with edited as materialized (
        select id, (note ->> 'ask_number')::bigint as ask_number, note ->> 'card' as card,
               (note ->> 'claimed_at')::timestamptz as claimed_at, (note ->> 'attempts')::integer as attempts
        from {_NOTES}
    ),
    free as materialized (
        select pending.id, {readable("pending.claimed_at")} is distinct from edited.claimed_at as is_overtaken,
               pending.card_attempts = edited.attempts as is_of_this_lease
        from edited
        join pending_interactions as pending using (id, ask_number)
        where {_MATCHES}
        for update of pending skip locked
    ),
    noted as (
        update pending_interactions as pending
        set card_due_at = case when is_overtaken then now()
                               when retired_cards is not null or not is_of_this_lease then card_due_at end,
            card_attempts = case when is_overtaken then least(card_attempts, 1000) + 1 else card_attempts end
        from {_WITHOUT_WAITING}, free
        where pending.id = free.id
        returning pending.id
    )
    select id
    from edited
    join pending_interactions as pending using (id, ask_number)
    where {_MATCHES}
      and id not in (select id from noted)
"""

# As many cards of an asking as were edited are forgotten, the last ones: one that was retired again meanwhile, since a
# slow edit landed over it, stands before them.
_LEFT_OVER = """(
        select jsonb_agg(card order by place)
        from (
            select card, place, row_number() over (partition by card ->> 'ask_number' order by place desc) as number
            from jsonb_array_elements(retired_cards) with ordinality as retired (card, place)
        ) as retired
        where card ->> 'ask_number' is not null
          and number > cardinality(array_positions(%(retired)s::text[], card ->> 'ask_number'))
    )"""

# The cards of former askings were edited; what is left to do is the present one's, which is due when it goes stale.
MARK_RETIRED = f"""
    update pending_interactions
    set retired_cards = {_LEFT_OVER},
        card_due_at = case when {_LEFT_OVER} is not null then card_due_at
                           when claimed_at is not null and card is not null then now()
                           when card is not null then {_GOES_STALE_AT} end,
        card_attempts = case when {_LEFT_OVER} is not null then card_attempts else least(card_attempts, 1) end
    where id = %(id)s and retired_cards is not null
      and {LIMITS}
    returning id
"""
