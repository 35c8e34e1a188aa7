-- depends: 0007_asking_indexes
-- A question's deadline, what is answered then, and the endings that are no person's answer. Nullable: no row is
-- rewritten, and pods of the version before this one go on working.
--
-- These pods see a question that has expired as one that was withdrawn: both times are set. The ending waits for its
-- delivery in a column of its own, so that they deliver it to nobody as an answer.
alter table pending_interactions
    add column expires_at timestamptz,
    add column default_answer text,
    add column outcome text,
    add column ending_due_at timestamptz;

-- Of which endings an application's worker hears, as its pods have last said; what is not here hears of answers alone.
create table pending_applications (
    application text primary key,
    outcomes text[] not null
);

-- Whoever works with the questions works with these as well.
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
        execute format('grant select, insert, update on pending_applications to %s', role);
    end loop;
end
$$;

-- Pods of the version before ask an id again and leave these columns as they are: the new asking has no deadline, and
-- how the one before has ended is not its ending. While that waits to be delivered the id is not asked again: to these
-- pods the row has changed meanwhile. A pod of this version writes all of the columns itself.
create function pendingctl_forget_ending() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if old.ending_due_at is not null then
        return null;
    end if;
    if new.expires_at is not distinct from old.expires_at then
        new.expires_at := null;
        new.default_answer := null;
    end if;
    new.outcome := null;
    return new;
end
$$;
create trigger forget_ending before update of ask_number on pending_interactions
    for each row when (old.expires_at is not null or old.outcome is not null or old.ending_due_at is not null)
    execute function pendingctl_forget_ending();
