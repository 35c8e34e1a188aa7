-- depends: 0015_rate_limits
-- The stream on which it is said that a question's card was posted and how the question has ended. Nullable or with a
-- constant default: no row is rewritten, and pods of the version before this one go on working. What is still to be
-- appended follows from what such pods write as well.
alter table pending_interactions
    add column stream text,
    add column stream_appended smallint not null default 0,
    add column stream_due_at timestamptz,
    add column stream_attempts integer not null default 0,
    add column stream_error text,
    add column former_endings jsonb;

-- An asking that makes place for the next one keeps what is still to be appended of it, whoever asks again. Pods of the
-- version before leave these columns as they are: their asking has no stream.
create function pendingctl_keep_ending() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
    if old.stream is not null and old.stream_appended < 2 then
        new.former_endings := jsonb_path_query_array(
            coalesce(old.former_endings, '[]') || jsonb_build_array(jsonb_build_object(
                'stream', old.stream,
                'ask_number', old.ask_number,
                'text', case when old.stream_appended < 1 then old.entry_payload #>> '{question,text}' end,
                'posted_at', case when old.stream_appended < 1 then old.posted_at end,
                'outcome', case when old.claimed_at is null then 'superseded'
                                when old.outcome in ('defaulted', 'expired') then old.outcome
                                when old.withdrawn_at is not null then 'withdrawn'
                                else 'answered' end,
                'answer', old.answer,
                'answered_by', case when old.claimed_at is not null and old.withdrawn_at is null
                                         and (old.outcome in ('defaulted', 'expired')) is not true
                                    then coalesce(old.answered_by, old.expected_user_id) end,
                'ended_at', coalesce(old.claimed_at, clock_timestamp()))),
            '$[last - 99 to last]');
    end if;
    if new.stream_due_at is not distinct from old.stream_due_at then
        new.stream := null;
    end if;
    new.stream_due_at := clock_timestamp();
    new.stream_appended := 0;
    new.stream_attempts := 0;
    new.stream_error := null;
    return new;
end
$$;
create trigger keep_ending before update of ask_number on pending_interactions
    for each row when (old.stream is not null or old.former_endings is not null)
    execute function pendingctl_keep_ending();
