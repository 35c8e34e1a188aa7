-- depends: 0004_delivery
-- transactional: false
-- The table is live: nothing here keeps anybody from writing, and each step can be repeated after a failure, which
-- leaves an invalid index behind.

alter table pending_interactions validate constraint undelivered_stays_claimed;

drop index concurrently if exists idx_pending_interactions_undelivered;
create index concurrently idx_pending_interactions_undelivered
    on pending_interactions (delivery_due_at)
    where delivery_due_at is not null;

drop index concurrently if exists idx_pending_interactions_card_due;
create index concurrently idx_pending_interactions_card_due
    on pending_interactions (card_due_at)
    where card_due_at is not null;
