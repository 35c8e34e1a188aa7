-- loses: deadlines, defaults, and that a question has expired or was answered by its default
-- The version before would let clicks win after the deadline, and take a default for a person's answer. Locked before
-- the look, so that nothing is asked or ended between it and the drop.
lock table pending_interactions in access exclusive mode;
do $$
begin
    if exists (select from pending_interactions where ending_due_at is not null) then
        raise exception 'there are endings that no worker has heard of yet; let the pods deliver them';
    end if;
    if exists (select from pending_interactions where expires_at is not null and claimed_at is null) then
        raise exception 'there are open questions with a deadline, which the version before would not keep; '
                        'see: pendingctl list --state pending and --state stale';
    end if;
end
$$;

drop trigger forget_ending on pending_interactions;
drop function pendingctl_forget_ending();
drop table pending_applications;
alter table pending_interactions
    drop column expires_at,
    drop column default_answer,
    drop column outcome,
    drop column ending_due_at;
