-- transactional: false
-- loses: nothing
drop index concurrently if exists idx_pending_interactions_open_streams;
drop index concurrently if exists idx_pending_interactions_due_events;
