-- depends: 0014_streams
-- Until when each key of a rate limit is used up ("theoretical arrival time" of GCRA, ITU-T I.371): a row for each key.
-- Unlogged: a take waits for no disk, and a crash or a failover empties the table, which costs each key one further
-- burst. No index but the key, and half of each page is free: a take changes its row in place. No foreign key: an
-- organization is here no more than a part of the key.
create unlogged table pending_rate_limit (
    organization_id text not null,
    key text not null,
    tat timestamptz not null,
    primary key (organization_id, key)
) with (fillfactor = 50);

-- Whoever works with the questions takes from the limits.
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
        execute format('grant select, insert, update, delete on pending_rate_limit to %s', role);
    end loop;
end
$$;
