-- The tenant. An application that has its own table organization keeps it: the comment tells which one is ours,
-- so that a rollback drops no other.

do $$
begin
    if to_regclass('organization') is null then
        create table organization (
            id text primary key,
            created_at timestamptz not null default now()
        );
        comment on table organization is 'created by pendingctl';
    end if;
end
$$;
