-- depends: 0008_endings
-- transactional: false
-- The table is live: nothing here keeps anybody from writing, and each step can be repeated after a failure, which
-- leaves an invalid index behind.

-- Open questions by their deadline; a claim removes its row from it and adds nothing.
drop index concurrently if exists idx_pending_interactions_deadline;
create index concurrently idx_pending_interactions_deadline
    on pending_interactions (application, expires_at)
    where claimed_at is null and expires_at is not null;

-- An application's endings that wait for their delivery, by tenant, so that tenants take turns.
drop index concurrently if exists idx_pending_interactions_due_endings;
create index concurrently idx_pending_interactions_due_endings
    on pending_interactions (application, organization_id, ending_due_at)
    where ending_due_at is not null;
