-- depends: 0016_question_streams
-- transactional: false
-- The table is live: nothing here keeps anybody from writing, and each step can be repeated after a failure, which
-- leaves an invalid index behind.

-- Questions of which something is still to be appended to a stream; none whose question has no stream.
drop index concurrently if exists idx_pending_interactions_due_events;
create index concurrently idx_pending_interactions_due_events
    on pending_interactions (application, organization_id, stream_due_at)
    where former_endings is not null
       or stream is not null
          and stream_appended < case when claimed_at is not null then 2 when posted_at is not null then 1 else 0 end;

-- Open questions with a stream, which expire when they are stale, whether or not a worker hears of it.
drop index concurrently if exists idx_pending_interactions_open_streams;
create index concurrently idx_pending_interactions_open_streams
    on pending_interactions (created_at)
    where stream is not null and claimed_at is null;
