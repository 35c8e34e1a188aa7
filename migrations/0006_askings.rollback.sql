lock table pending_interactions in access exclusive mode;

-- Pods of the version before deliver whatever is due, to whichever worker they have.
do $$
begin
    if exists (select from pending_interactions where application <> '' and delivery_due_at is not null) then
        raise exception 'there are undelivered answers of applications, which the version before would mix up; '
                        'see: pendingctl list --state undelivered';
    end if;
end
$$;

-- The numbers that were drawn stay used, also should the version after come back.
do $$
declare
    next bigint := nextval(pg_get_serial_sequence('pending_interactions', 'ask_number'));
begin
    alter table pending_interactions alter column ask_number drop identity;
    execute format('alter table pending_interactions alter column ask_number set default %s', next);
end
$$;

drop trigger draw_ask_number on pending_interactions;
drop function pendingctl_draw_ask_number();
alter table pending_interactions
    drop column application,
    drop column request_key,
    drop column displaced_keys,
    drop column previous,
    drop column retired_cards,
    drop column awaited_by,
    drop column posting_until;
