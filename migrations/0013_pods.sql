-- depends: 0012_trail
-- Which pods live, and what they hold, as they note themselves every 10 s. A row for each start of a pod in each
-- application: a name may come again while the row of a pod that died is still there. No index but the key, and half of
-- each page is free: a note changes its row in place. Pods of the version before this one leave nothing in it.
create table pending_pods (
    instance uuid primary key,
    pod text not null,
    application text not null,
    version text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now(),
    connections integer not null,
    claims integer not null,
    cards integer not null,
    answers integer not null
) with (fillfactor = 50);

-- Whoever works with the questions notes that it lives.
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
        execute format('grant select, insert, update, delete on pending_pods to %s', role);
    end loop;
end
$$;
