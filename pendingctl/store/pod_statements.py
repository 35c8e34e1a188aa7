"""The statements of what pods note of themselves. Returned columns have the names of the fields they fill."""

from .statements import LIMITS

_IS_NOTED = """exists (
        select from pending_applications where application = %(application)s and outcomes = %(outcomes)s::text[]
    )"""

# Read first: what stays as it is takes no lock, and needs none.
HEAR = f"""
    insert into pending_applications (application, outcomes)
    select %(application)s, %(outcomes)s::text[]
    where not {_IS_NOTED}
      and {LIMITS}
    on conflict (application) do update set outcomes = excluded.outcomes
"""

# The same, and that the pod lives: if that is all, a crash of the server may lose it, and it waits for no disk.
#
# A pod's row is changed in place (no index has a column that changes), and by its own pod alone. Rows of pods that have
# died are removed by whichever pod comes first; one that somebody has locked is left to the next. So are those that a
# wrong clock has seen in the future: a pod that lives after all notes itself anew.
BEAT = f"""
    with heard as ({HEAR}),
    forgotten as (
        delete from pending_pods
        where instance = any (array(
            select instance
            from pending_pods
            where (seen_at < now() - %(kept)s::interval or seen_at > now() + %(kept)s::interval)
              and instance <> %(instance)s
            limit 100
            for update skip locked
        ))
    )
    insert into pending_pods (instance, pod, application, version, connections, claims, cards, answers)
    select %(instance)s, %(pod)s, %(application)s, %(version)s, %(connections)s, %(claims)s, %(cards)s, %(answers)s
    where set_config('lock_timeout', %(lock_timeout)s, true) is not null
      and case when {_IS_NOTED} then set_config('synchronous_commit', 'off', true) is not null else true end
    on conflict (instance) do update
    set seen_at = now(), connections = excluded.connections, claims = excluded.claims, cards = excluded.cards,
        answers = excluded.answers
"""

LEAVE = "delete from pending_pods where instance = %(instance)s"
