do $$
begin
    if obj_description(to_regclass('organization'), 'pg_class') = 'created by pendingctl' then
        drop table organization;
    end if;
end
$$;
