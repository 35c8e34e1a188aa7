"""How a statement writes the trail of what it does, and the statements of the trail itself."""

# A setting of the database, a role or a connection string, which pods and commands hold to alike:
# alter database … set pendingctl.trail = off (manual, section 20.16 "Customized Options"). It is a text to Postgres,
# and a boolean to a person.
IS_KEPT = "(lower(current_setting('pendingctl.trail', true)) in ('off', 'false', 'no', '0')) is not true"


def trail(source: str, step: str, *, question_id: str = "id", ask_number: str = "ask_number", **columns: str) -> str:
    """Return the common table expression that writes one entry for each row of `source`, in the same statement.

    All are SQL: the columns of `source` that hold the question's id and the ask number, beside organization_id, an
    expression for the step, and one for each further column of the entry. The statement has a parameter `pod`.

    Where the sequence of their numbers lags behind the entries, the trail has gaps and the statement does its work:
    logical replication copies rows, and no sequences (manual, "Logical Replication" under restrictions).
    """
    names = "".join(f", {name}" for name in columns)
    values = "".join(f", {value}" for value in columns.values())
    return f"""trail as (
        insert into pending_trail (question_id, ask_number, organization_id, pod, step{names})
        select {question_id}, {ask_number}, organization_id, %(pod)s::text, {step}{values}
        from {source}
        where {IS_KEPT}
        on conflict do nothing
    )"""


def _apart(detail: str) -> str:
    """Return the reason of clicks that are counted apart, as `pod.refused_clicks` does."""
    return f"case when {detail} in ('not_yours', 'unknown_or_expired', 'cannot_serve') then {detail} end"


# A claim's own statement cannot write why it lost: its snapshot does not know. Of one question, of whatever pods, there
# are so many entries an hour, which are looked for among its last ones; and any number that say how many had no room.
# Another tenant's clicks on the same id, and those of users whom it does not ask, take no room of the others.
# Returns the places of those that have none.
#
# Between an id and the same id, as in trail_reads: by an equality Postgres expects few entries, and sorts them all.
NOTE_PRESSES = f"""
    with given as materialized (
        select *
        from unnest(%(question_ids)s::text[], %(ask_numbers)s::integer[], %(organization_ids)s::text[],
                    %(connection_ids)s::text[], %(user_ids)s::text[], %(steps)s::text[], %(details)s::text[],
                    %(presses)s::integer[], %(ages)s::float8[])
             with ordinality as given (question_id, ask_number, organization_id, connection_id, user_id, step, detail,
                                       presses, age, place)
    ),
    with_room as materialized (
        select *
        from given
        where user_id is null or (
            select count(*)
            from (
                select step, at, organization_id, detail
                from pending_trail as before
                where before.question_id collate "C" between given.question_id and given.question_id
                order by before.question_id collate "C" desc, before.id desc
                limit %(most_an_hour)s * 3
            ) as before
            where step in ('refused', 'repeated') and at > now() - interval '1 hour'
              and before.organization_id = given.organization_id
              and {_apart("before.detail")} is not distinct from {_apart("given.detail")}
        ) < %(most_an_hour)s
    ),
    trail as (
        insert into pending_trail
            (at, question_id, ask_number, organization_id, connection_id, application, pod, user_id, step, detail,
             presses)
        select clock_timestamp() - make_interval(secs => age), question_id, ask_number, organization_id, connection_id,
               %(application)s, %(pod)s, user_id, step, detail, presses
        from with_room
        where {IS_KEPT}
        on conflict do nothing
    )
    select place::integer - 1
    from given
    where place not in (select place from with_room)
"""

# The oldest entries are the first; one that a wrong clock has dated in the future must not keep those after it.
SWEEP_TRAIL = """
    delete from pending_trail
    where id = any (array(
        select id
        from pending_trail
        where id = any (array(
            select id
            from (select id, at from pending_trail order by id limit %(batch_size)s) as oldest
            where at < now() - %(max_age)s::interval or at > now() + interval '1 day'
        ))
        for update skip locked
    ))
"""
