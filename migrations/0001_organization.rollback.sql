-- loses: the organizations, where the table is pendingctl's own
-- An application's own table is not even locked; ours is, before its comment decides.
do $$
declare
    ours regclass := (
        select oid from pg_class
        where oid = to_regclass('organization') and relnamespace = to_regnamespace(quote_ident(current_schema()))
            and obj_description(oid, 'pg_class') = 'created by pendingctl'
    );
begin
    if ours is not null then
        execute format('lock table %s in access exclusive mode', ours);
        if obj_description(ours, 'pg_class') = 'created by pendingctl' then
            execute format('drop table %s', ours);
        end if;
    end if;
end
$$;
