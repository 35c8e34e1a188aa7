"""The statements of cards that show less than their rows, and of what became of them.

Returned columns have the names of the fields they fill.
"""

from typing import LiteralString

from .put_statements import ENDED
from .statements import LIMITS, OUTCOME, REMIND_EVERY, readable
from .trail_statements import trail

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


def _mark_posted(is_noted: LiteralString, step: LiteralString) -> LiteralString:
    written = f"""(
            select posted.id, posted.ask_number, organization_id
            from posted
            join free as pending using (id)
            join noted using (id)
            where {is_noted}
        ) as written"""
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
        returning pending.id, organization_id
    ),
    {trail(written, step)}
    select id
    from posted
    join pending_interactions as pending using (id)
    where {is_noted} and id not in (select id from noted)
"""


MARK_POSTED = _mark_posted(f"(posted.ask_number = pending.ask_number or {_IS_OF_A_FORMER_ASKING})", "'posted'")

# An edit that called a question expired may have landed over the words of a newer asking: its card is retired anew.
RETIRE_AGAIN = _mark_posted(_IS_OF_A_FORMER_ASKING, "'edited'")

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
    ),
    leased as (
        update pending_interactions as pending
        set card_due_at = now()
                + least(%(lease)s::interval * 2 ^ least(greatest(card_attempts, 0), 12), interval '1 hour'),
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
    ),
    {trail("leased", "'editing'", question_id="question_id", attempt="attempts")}
    select *
    from leased
"""

# A pod that closes gives back what it has not begun to edit. What somebody has locked comes when its lease has run out.
GIVE_BACK_CARDS = f"""
    with given as materialized (
        select id, ask_number, attempts
        from unnest(%(ids)s::text[], %(ask_numbers)s::bigint[], %(attempts)s::integer[])
             as given (id, ask_number, attempts)
    ),
    free as materialized (
        select pending.id
        from given
        join pending_interactions as pending using (id, ask_number)
        where card_attempts = attempts and card_due_at is not null
        for no key update of pending skip locked
    )
    update pending_interactions as pending
    set card_due_at = now()
    from {_WITHOUT_WAITING}, free
    where pending.id = free.id
    returning pending.id
"""

# A row that has moved on since its card was edited stays due, or is due again, since this edit may have landed over a
# newer one: claimed_at tells one end of an asking from another, and the card itself one that was posted again since.
# The newer edit may be noted after this one, and counts no more then: one attempt is counted.
_MATCHES = f"""pending.card is not distinct from edited.card::jsonb
          and (card_due_at is not null or {readable("pending.claimed_at")} is distinct from edited.claimed_at)"""
MARK_EDITED = f"""
    with edited as materialized (
        select id, (note ->> 'ask_number')::bigint as ask_number, note ->> 'card' as card,
               (note ->> 'claimed_at')::timestamptz as claimed_at, (note ->> 'attempts')::integer as attempts,
               note ->> 'gone' as gone
        from {_NOTES}
    ),
    free as materialized (
        select pending.id, {readable("pending.claimed_at")} is distinct from edited.claimed_at as is_overtaken,
               pending.card_attempts = edited.attempts as is_of_this_lease, edited.gone
        from edited
        join pending_interactions as pending using (id, ask_number)
        where {_MATCHES}
        for update of pending skip locked
    ),
    noted as (
        update pending_interactions as pending
        set card_due_at = case when is_overtaken then now()
                               when retired_cards is not null or not is_of_this_lease then card_due_at end,
            card_attempts = case when is_overtaken then least(card_attempts, 1000) + 1 else card_attempts end,
            post_error = gone
        from {_WITHOUT_WAITING}, free
        where pending.id = free.id
        returning pending.id, ask_number, organization_id, gone
    ),
    {trail("noted", "'edited'", detail="gone")}
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

_RETIRED_TRAIL = trail(
    "edited cross join unnest(%(retired_numbers)s::integer[]) as retired (number)",
    "'edited'",
    ask_number="number",
)

# The cards of former askings were edited; what is left to do is the present one's, which is due when it goes stale.
MARK_RETIRED = f"""
    with edited as (
        update pending_interactions
        set retired_cards = {_LEFT_OVER},
            card_due_at = case when {_LEFT_OVER} is not null then card_due_at
                               when claimed_at is not null and card is not null then now()
                               when card is not null then {_GOES_STALE_AT} end,
            card_attempts = case when {_LEFT_OVER} is not null then card_attempts else least(card_attempts, 1) end
        where id = %(id)s and retired_cards is not null
          and {LIMITS}
        returning id, organization_id
    ),
    {_RETIRED_TRAIL}
    select id
    from edited
"""
