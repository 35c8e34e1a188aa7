"""What doctor asks the server. Returned columns have the names of the fields they fill.

Of the catalogs and statistics that every role may read, on PostgreSQL 14 to 18 and on a standby: what a role may not
see is null there. Of rows no more than a cap is counted. A statement without parameters has its % as it is.
"""

from ..store.statements import EVENTS_WAIT, readable
from ..store.trail_statements import IS_KEPT

CLOCK = "select extract(epoch from clock_timestamp())::float8"

VERSION = "select current_setting('server_version_num')::integer as number, current_setting('server_version') as name"

# What a new session has: this one may have been set up differently.
_NEW_SESSION = "(select reset_val from pg_settings where name = '{}')"

RECOVERY = f"""
    select pg_is_in_recovery() as is_standby,
           {_NEW_SESSION.format("default_transaction_read_only")} = 'on' as is_read_only,
           case when pg_is_in_recovery()
                then extract(epoch from now() - pg_last_xact_replay_timestamp())::float8 end as replayed_seconds_ago
"""

SETTINGS = f"""
    select current_setting('server_encoding') as encoding,
           {_NEW_SESSION.format("statement_timeout")}::float8 / 1000 as statement_timeout,
           array(select name || ' = ' || reset_val
                 from pg_settings
                 where name = 'default_transaction_isolation' and reset_val <> 'read committed'
                    or name = 'standard_conforming_strings' and reset_val = 'off'
                    or name = 'synchronous_commit' and reset_val = 'off'
                 order by name) as worked_around
"""

# Logical subscribers and base backups are no standbys; of what this role may not see the state is null.
DURABILITY = f"""
    select current_setting('fsync') = 'on' as fsync,
           current_setting('full_page_writes') = 'on' as full_page_writes,
           current_setting('cluster_name') as cluster_name,
           {_NEW_SESSION.format("synchronous_commit")} as synchronous_commit,
           (select source from pg_settings where name = 'synchronous_commit') as commit_source,
           current_setting('synchronous_standby_names') as synchronous_standbys,
           (
               select count(*)
               from pg_stat_replication as sender
               where (sender.state in ('streaming', 'catchup') or sender.state is null)
                 and not exists (select
                                 from pg_replication_slots as slot
                                 where slot.active_pid = sender.pid and slot.slot_type = 'logical')
           ) as standbys
"""

CONNECTIONS = """
    select current_setting('max_connections')::integer as most,
           current_setting('superuser_reserved_connections')::integer
               + coalesce(current_setting('reserved_connections', true), '0')::integer as reserved,
           (select sum(numbackends) from pg_stat_database)::integer as in_use,
           session_user::text as role,
           (select rolconnlimit from pg_roles where rolname = session_user) as role_limit,
           (select count(*) from pg_stat_activity where usename = session_user)::integer as role_in_use,
           datconnlimit as database_limit,
           (select numbackends from pg_stat_database where datname = current_database()) as database_in_use
    from pg_database
    where datname = current_database()
"""

TABLES = """
    select nspname::text as schema, relname::text as name,
           pg_class.oid = coalesce(to_regclass(quote_ident(relname)), 0) as is_found,
           nspname = any (current_schemas(false)) as is_on_path,
           has_schema_privilege(pg_namespace.oid, 'usage') as may_use_schema
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    where relname = any (%(tables)s) and relkind in ('r', 'p', 'v', 'm', 'f') and not starts_with(nspname, 'pg_')
    order by nspname, relname
"""

SEARCH_PATH = "select current_setting('search_path')"

RIGHTS = """
    select quote_ident(current_user) as role, quote_ident(nspname) || '.' || quote_ident(relname) as table,
           wanted.name, wanted.privilege,
           has_table_privilege(pg_class.oid, wanted.privilege) as is_granted,
           row_security_active(pg_class.oid) as hides_rows
    from unnest(%(tables)s::text[], %(privileges)s::text[]) with ordinality as wanted (name, privilege, place)
    join pg_class on pg_class.oid = to_regclass(wanted.name)
    join pg_namespace on pg_namespace.oid = relnamespace
    order by wanted.place
"""

# Vacuum of a table waits for the transactions of its own database, and for slots and prepared ones.
HORIZONS = """
    select 'session' as kind, pid, coalesce(application_name, '') as name, state,
           extract(epoch from now() - xact_start)::float8 as seconds, age(backend_xmin) as transactions
    from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and xact_start is not null
      and pid <> pg_backend_pid()
    union all
    select 'prepared transaction', null, gid, null, extract(epoch from now() - prepared)::float8, age(transaction)
    from pg_prepared_xacts
    where database = current_database()
    union all
    select 'replication slot', active_pid, slot_name::text, case when active then 'active' else 'inactive' end,
           null, age(xmin)
    from pg_replication_slots
    where xmin is not null
    order by seconds desc nulls last
"""

# The names of others' statements are hidden in this way (src/backend/utils/adt/pgstatfuncs.c).
HIDDEN_SESSIONS = """
    select count(*)
    from pg_stat_activity
    where datname = current_database() and query = '<insufficient privilege>'
"""

# Whoever waits for a row waits for the transaction that holds it, and has locked the table as its holder has: from the
# lock of a statement that writes or locks rows on, which vacuum and reading do not take.
LOCKS = """
    with touching as materialized (
        select pid,
               bool_or(granted and mode in ('RowShareLock', 'RowExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                                            'ExclusiveLock', 'AccessExclusiveLock')) as holds
        from pg_locks
        where locktype = 'relation'
          and database = (select oid from pg_database where datname = current_database())
          and relation = any (array(select to_regclass(name) from unnest(%(tables)s::text[]) as name)::oid[])
          and pid is distinct from pg_backend_pid()
        group by pid
    ),
    waiting as materialized (
        select pid, min(waitstart) as since, array_agg(distinct blocker) as blocked_by
        from pg_locks cross join lateral unnest(pg_blocking_pids(pid)) as blocker
        where not granted and pid in (select pid from touching)
        group by pid
    ),
    concerned as (
        select pid from touching where holds or pid is null or pid in (select pid from waiting)
        union
        select blocker from waiting cross join lateral unnest(blocked_by) as blocker where blocker <> 0
    )
    select concerned.pid, session.application_name as application, session.usename::text as role, session.state,
           extract(epoch from now() - session.xact_start)::float8 as transaction_seconds,
           extract(epoch from now() - waiting.since)::float8 as waiting_seconds,
           coalesce(waiting.blocked_by, '{}') as blocked_by,
           coalesce(touching.holds, false) as holds
    from concerned
    left join touching on touching.pid is not distinct from concerned.pid
    left join waiting on waiting.pid = concerned.pid
    left join pg_stat_activity as session on session.pid = concerned.pid
    order by transaction_seconds desc nulls last
"""

# As pg_stats shows it to whoever may read the table. The size is that of the rows, without their long values.
BLOAT = """
    select quote_ident(nspname) || '.' || quote_ident(pg_class.relname) as table,
           reltuples::float8 as rows, n_live_tup as live, n_dead_tup as dead, pg_relation_size(pg_class.oid) as bytes,
           (
               select sum(avg_width * (1 - null_frac))::float8
               from pg_stats
               where schemaname = nspname and tablename = pg_class.relname
           ) as row_bytes,
           coalesce((select option_value from pg_options_to_table(reloptions) where option_name = 'fillfactor'),
                    '100')::integer as fillfactor,
           current_setting('autovacuum') = 'on' and current_setting('track_counts') = 'on'
               and coalesce((select option_value::boolean
                             from pg_options_to_table(reloptions)
                             where option_name = 'autovacuum_enabled'), true) as autovacuum,
           extract(epoch from now() - greatest(last_vacuum, last_autovacuum))::float8 as vacuumed_seconds_ago
    from pg_class
    join pg_namespace on pg_namespace.oid = relnamespace
    left join pg_stat_user_tables on relid = pg_class.oid
    where pg_class.oid = to_regclass('pending_interactions')
"""

INDEXES = """
    select index.relname::text as name, quote_ident(nspname) || '.' || quote_ident(index.relname) as qualified,
           indisvalid and indisready as is_valid,
           exists (select from pg_stat_progress_create_index as building
                   where building.index_relid = indexrelid
                      or building.relid = indrelid and building.index_relid = 0) as is_being_built,
           exists (select from pg_constraint where conindid = indexrelid) as is_of_constraint,
           coalesce(idx_scan, 0) as scans,
           coalesce(sum(idx_scan) over (partition by indrelid), 0)::bigint as table_scans,
           pg_relation_size(indexrelid) as bytes
    from pg_index
    join pg_class as index on index.oid = indexrelid
    join pg_namespace on pg_namespace.oid = index.relnamespace
    left join pg_stat_user_indexes as statistics using (indexrelid)
    where indrelid = any (array(select to_regclass(name) from unnest(%(tables)s::text[]) as name)::oid[])
    order by index.relname
"""

# A table that was never analyzed has -1 rows, which matters once it has some thousands.
ROWS = """
    select case when reltuples < 0 and pg_relation_size(oid) < 8 * 1024 * 1024 then 0 else reltuples end::float8
    from pg_class
    where oid = to_regclass('pending_interactions')
"""

PODS = """
    select application_name, count(*)::integer as sessions
    from pg_stat_activity
    where datname = current_database() and starts_with(application_name, %(pod)s)
    group by application_name
    order by application_name
"""

# On a standby as far as it has replayed. A slot that has lost what it needs keeps nothing.
SLOTS = """
    select slot_name::text as name, slot_type as kind, active as is_active, wal_status as status,
           pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end,
                           restart_lsn)::bigint as kept_bytes,
           safe_wal_size as safe_bytes
    from pg_replication_slots
    where restart_lsn is not null or wal_status = 'lost'
    order by slot_name
"""

TRAIL = f"""
    select {IS_KEPT} as is_kept, reltuples::float8 as rows,
           pg_total_relation_size(oid) as bytes
    from pg_class
    where oid = to_regclass('pending_trail')
"""

# Also one that is being detached.
MISSING_SLOTS = """
    select coalesce(array_agg(slot order by slot), '{}')
    from generate_series(0, 3) as slot
    where not exists (
        select from pg_inherits
        where inhparent = 'pending_stream_event'::regclass
          and inhrelid = to_regclass('pending_stream_event_' || slot)
          and not inhdetachpending
    )
"""

SWEEP_CYCLE = """
    select case when began_at > '-infinity' then extract(epoch from now() - began_at)::float8 end as seconds_ago, pod
    from sweep_cycle
"""


def _due(kind: str, due_at: str, since: str, condition: str) -> str:
    # A lease is taken within two seconds of its time: what is a minute late was not. The cap bounds a count that no
    # index makes short.
    return f"""(
            select application, '{kind}' as kind, {due_at} as due_at, {readable(since)} as since,
                   organization_id || '/' || connection_id as example
            from pending_interactions
            where {condition}
            limit %(cap)s
        )"""


# Each by its partial index: of cards and posts only what is due, since every open question has a time for its card.
DUE = f"""
    with due as (
        {_due("ending", "delivery_due_at", "claimed_at", "delivery_due_at is not null")}
        union all
        {_due("ending", "ending_due_at", "claimed_at", "ending_due_at is not null")}
        union all
        {_due("post", "post_due_at", "created_at", "claimed_at is null and post_due_at <= now()")}
        union all
        {_due("post", "post_due_at", "created_at", "claimed_at is null and post_due_at = 'infinity'")}
        union all
        {_due("edit", "card_due_at", "created_at", "card_due_at <= now()")}
        union all
        {_due("deadline", "expires_at", "created_at", "claimed_at is null and expires_at <= now()")}
        union all
        {_due("event", "stream_due_at", "coalesce(claimed_at, posted_at, created_at)", EVENTS_WAIT)}
    )
    select application, kind, count(*)::integer as rows,
           (count(*) filter (where due_at <= now()))::integer as overdue,
           (count(*) filter (where due_at = 'infinity'))::integer as given_up,
           extract(epoch from now() - min(since))::float8 as oldest_seconds,
           extract(epoch from now() - min({readable("due_at")}) filter (where due_at <= now()))::float8
               as overdue_seconds,
           (array_agg(example order by due_at))[1] as example
    from due
    group by application, kind
    order by application, kind
"""

# Of the numbers of askings the last entries of the trail tell: all rows would have to be looked at. What is drawn while
# this runs is in no row that it sees.
SEQUENCES = """
    select "table", "column", may_read, highest,
           case when may_read then coalesce(
               pg_sequence_last_value(sequence),
               (select seqstart - 1 from pg_sequence where seqrelid = sequence)
           ) end as last_value
    from (
        select "table", "column", highest, sequence, has_sequence_privilege(sequence, 'select, usage') as may_read
        from (
            values ('pending_interactions', 'ask_number',
                    (select max(ask_number)::bigint
                     from (select ask_number from pending_trail order by id desc limit 1000) as entry)),
                   ('pending_trail', 'id', (select max(id) from pending_trail)),
                   ('pending_stream', 'id', (select max(id) from pending_stream))
        ) as drawn ("table", "column", highest)
        cross join lateral (select pg_get_serial_sequence("table", "column")::regclass::oid as sequence) as its
    ) as readable
"""
