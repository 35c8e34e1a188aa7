-- depends: 0006_askings
-- transactional: false
-- The table is live: nothing here keeps anybody from writing, and each step can be repeated after a failure, which
-- leaves an invalid index behind.

-- Serves the sweep: a question's age counts from its asking, and from its end once it has ended.
drop index concurrently if exists idx_pending_interactions_age;
create index concurrently idx_pending_interactions_age
    on pending_interactions ((coalesce(claimed_at, created_at)));

-- An application's due answers, by tenant, so that tenants take turns and no other application's are looked at.
drop index concurrently if exists idx_pending_interactions_due;
create index concurrently idx_pending_interactions_due
    on pending_interactions (application, organization_id, delivery_due_at)
    where delivery_due_at is not null;
drop index concurrently if exists idx_pending_interactions_undelivered;

-- Due cards by connection, so that those of a connection that nobody serves cost nobody anything.
drop index concurrently if exists idx_pending_interactions_due_cards;
create index concurrently idx_pending_interactions_due_cards
    on pending_interactions (application, organization_id, connection_id, card_due_at)
    where card_due_at is not null;
drop index concurrently if exists idx_pending_interactions_card_due;
