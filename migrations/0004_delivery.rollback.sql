lock table pending_interactions in access exclusive mode;

-- What is not delivered would be lost: deliver it first.
do $$
begin
    if exists (select from pending_interactions where delivery_due_at is not null) then
        raise exception 'there are undelivered answers; see: pendingctl list --state undelivered';
    end if;
end
$$;

drop table sweep_cycle;
alter table pending_interactions
    drop constraint undelivered_stays_claimed,
    drop column answered_by,
    drop column pod,
    drop column delivery_due_at,
    drop column lease_token,
    drop column delivery_attempts,
    drop column delivery_error,
    drop column delivered_at,
    drop column awaited_until,
    drop column withdrawn_at,
    drop column posted_at,
    drop column card,
    drop column card_due_at,
    drop column card_attempts;
