-- depends: 0002_pending_interactions
-- What the winning click said, written by the claim itself. Nullable and without a default: pods of the version
-- before this one go on working while it is applied, and no row is rewritten.

alter table pending_interactions
    add column answer text,
    add column delivery_key text;
