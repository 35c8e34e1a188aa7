-- transactional: false
-- loses: nothing
drop index concurrently if exists idx_pending_interactions_card_due;
drop index concurrently if exists idx_pending_interactions_undelivered;
