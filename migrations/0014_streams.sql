-- depends: 0013_pods
-- Event streams: a row for each stream, which counts its events, and the events of the last day in a ring of four tables.
-- A turn of the ring truncates the next table and then writes there, which costs nothing for an event; see
-- pendingctl/events/ring.py. Half of each page of streams is free: an append changes its row in place.
create table pending_stream (
    id bigint generated always as identity primary key,
    organization_id text not null references organization (id) on delete cascade,
    name text not null,
    last_seq bigint not null default 0,
    last_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    closed_at timestamptz,
    unique (organization_id, name)
) with (fillfactor = 50);

-- No foreign key: events of a stream that is gone are found by nobody, as no id is used twice, and leave with the ring.
create table pending_stream_event (
    slot smallint not null,
    stream_id bigint not null,
    seq bigint not null,
    at timestamptz not null,
    type text not null,
    data text not null,
    primary key (stream_id, seq, slot)
) partition by list (slot);
create table pending_stream_event_0 partition of pending_stream_event for values in (0);
create table pending_stream_event_1 partition of pending_stream_event for values in (1);
create table pending_stream_event_2 partition of pending_stream_event for values in (2);
create table pending_stream_event_3 partition of pending_stream_event for values in (3);

create table pending_stream_ring (
    is_the_only_row boolean primary key default true check (is_the_only_row),
    slot smallint not null default 0 check (slot between 0 and 3),
    turned_at timestamptz not null default now(),
    pod text,
    retention interval not null default '24 hours'
        check (retention between interval '1 minute' and interval '3653 days')
);
insert into pending_stream_ring default values;

-- Whoever works with the questions works with the streams as well.
do $$
declare
    role text;
begin
    for role in
        select distinct case when grantee = 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end
        from pg_class cross join aclexplode(relacl)
        where pg_class.oid = 'pending_interactions'::regclass and privilege_type = 'UPDATE' and grantee <> relowner
        union
        select quote_ident(pg_get_userbyid(relowner))
        from pg_class
        where oid = 'pending_interactions'::regclass and pg_get_userbyid(relowner) <> current_user
    loop
        execute format('grant select, insert, update, delete on pending_stream to %s', role);
        execute format('grant select, insert, delete on pending_stream_event to %s', role);
        execute format('grant select, update on pending_stream_ring to %s', role);
        execute format(
            'grant truncate on pending_stream_event_0, pending_stream_event_1, pending_stream_event_2, '
            'pending_stream_event_3 to %s',
            role
        );
    end loop;
end
$$;
