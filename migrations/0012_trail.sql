-- depends: 0011_post_indexes
-- What has happened to the questions, written in the statements that did it; it outlives their rows. Pods of the version
-- before this one go on working, and leave nothing in it.
create table pending_trail (
    id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    question_id text not null,
    ask_number integer,
    organization_id text not null,
    step text not null,
    pod text,
    user_id text,
    connection_id text,
    application text,
    request_key text,
    attempt integer,
    presses integer,
    detail text
);

-- By the beginning of an id as well, whatever the database's collation is.
create index idx_pending_trail_question on pending_trail (question_id collate "C", id);
create index idx_pending_trail_user on pending_trail (user_id, id) where user_id is not null;

-- Whoever works with the questions writes the trail as well.
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
        execute format('grant select, insert, update, delete on pending_trail to %s', role);
    end loop;
end
$$;
