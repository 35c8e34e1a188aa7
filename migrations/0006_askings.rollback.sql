lock table pending_interactions in access exclusive mode;

-- Cards that a later asking has retired would keep their buttons for good.
do $$
begin
    if exists (select from pending_interactions where application <> '' and delivery_due_at is not null) then
        raise exception 'there are undelivered answers of applications, which the version before would mix up; '
                        'see: pendingctl list --state undelivered';
    end if;
end
$$;

drop trigger draw_ask_number on pending_interactions;
drop function pendingctl_draw_ask_number();
alter table pending_interactions
    alter column ask_number drop identity,
    alter column ask_number set default 1,
    drop column application,
    drop column request_key,
    drop column displaced_keys,
    drop column previous,
    drop column retired_cards,
    drop column awaited_by,
    drop column posting_until;
