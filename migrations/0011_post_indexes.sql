-- depends: 0010_posts
-- transactional: false
-- The table is live: nothing here keeps anybody from writing, and each step can be repeated after a failure, which
-- leaves an invalid index behind.

-- Open questions of which something is to be posted, by connection; a claim removes its row from it and adds nothing.
drop index concurrently if exists idx_pending_interactions_due_posts;
create index concurrently idx_pending_interactions_due_posts
    on pending_interactions (application, organization_id, connection_id, post_due_at)
    where claimed_at is null and post_due_at is not null;
