-- loses: which stream a question belongs to
-- The version before appends nothing. Locked before the look, so that nothing ends between it and the drop.
lock table pending_interactions in access exclusive mode;
do $$
begin
    if exists (select from pending_interactions
               where former_endings is not null
                  or stream is not null
                     and stream_appended < case when claimed_at is not null then 2
                                                when posted_at is not null then 1 else 0 end) then
        raise exception 'there are questions whose cards or endings are still to be appended to their streams; let the pods append them';
    end if;
    if exists (select from pending_interactions where stream is not null and claimed_at is null) then
        raise exception 'there are open questions with a stream, on which the version before would not say how they end';
    end if;
end
$$;

drop trigger keep_ending on pending_interactions;
drop function pendingctl_keep_ending();
alter table pending_interactions
    drop column stream,
    drop column stream_appended,
    drop column stream_due_at,
    drop column stream_attempts,
    drop column stream_error,
    drop column former_endings;
