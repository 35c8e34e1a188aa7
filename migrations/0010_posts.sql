-- depends: 0009_ending_indexes
-- What of a question is still to be posted: its card, reminders, an escalation. Nullable or with a constant default: no
-- row is rewritten, and pods of the version before this one go on working; they post the cards that they are asked for,
-- and no others.
alter table pending_interactions
    add column post_due_at timestamptz,
    add column post_attempts integer not null default 0,
    add column post_doubts integer not null default 0,
    add column post_error text,
    add column remind_every interval,
    add column reminders_left integer,
    add column escalate_at timestamptz,
    add column escalate_to text,
    add column escalated_at timestamptz;

-- Pods of the version before ask an id again and leave these columns as they are: nothing of the asking before holds
-- for the new one, nobody else may answer it, and those pods post its card themselves.
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
    if new.escalate_at is not distinct from old.escalate_at then
        new.escalate_at := null;
        new.escalate_to := null;
    end if;
    if new.post_due_at = old.post_due_at then
        new.post_due_at := null;
        new.post_attempts := 0;
        new.post_doubts := 0;
        new.post_error := null;
        new.remind_every := null;
        new.reminders_left := null;
    end if;
    new.escalated_at := null;
    new.outcome := null;
    return new;
end
$$;
drop trigger forget_ending on pending_interactions;
create trigger forget_ending before update of ask_number on pending_interactions
    for each row when (old.expires_at is not null or old.outcome is not null or old.ending_due_at is not null
                       or old.post_due_at is not null or old.escalate_at is not null)
    execute function pendingctl_forget_ending();
