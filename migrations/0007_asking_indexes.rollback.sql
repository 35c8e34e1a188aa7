-- transactional: false
-- loses: nothing
drop index concurrently if exists idx_pending_interactions_undelivered;
create index concurrently idx_pending_interactions_undelivered
    on pending_interactions (delivery_due_at)
    where delivery_due_at is not null;
drop index concurrently if exists idx_pending_interactions_card_due;
create index concurrently idx_pending_interactions_card_due
    on pending_interactions (card_due_at)
    where card_due_at is not null;
drop index concurrently if exists idx_pending_interactions_due_cards;
drop index concurrently if exists idx_pending_interactions_due;
drop index concurrently if exists idx_pending_interactions_age;
