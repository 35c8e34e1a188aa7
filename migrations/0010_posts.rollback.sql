-- loses: reminders, escalations that were posted, and which cards could not be posted
-- The version before posts no card that another has left, and lets nobody else answer. Locked before the look, so that
-- nothing is asked between it and the drop.
lock table pending_interactions in access exclusive mode;
do $$
begin
    if exists (select from pending_interactions
               where claimed_at is null and post_due_at < 'infinity' and posted_at is null) then
        raise exception 'there are open questions whose cards are still to be posted; let the pods post them';
    end if;
    if exists (select from pending_interactions where claimed_at is null and escalate_at is not null) then
        raise exception 'there are open questions with an escalation, which the version before would not keep';
    end if;
end
$$;

drop trigger forget_ending on pending_interactions;
create or replace function pendingctl_forget_ending() returns trigger
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
alter table pending_interactions
    drop column post_due_at,
    drop column post_attempts,
    drop column post_doubts,
    drop column post_error,
    drop column remind_every,
    drop column reminders_left,
    drop column escalate_at,
    drop column escalate_to,
    drop column escalated_at;
