-- depends: 0003_answer
-- What an answer needs to survive the pod that claimed it, and a card to be edited by any pod. Nullable, or with a
-- constant default: no row is rewritten, and pods of the version before this one go on working. What they claim is
-- handed over from their memory, and counts as delivered: delivery_due_at stays null.

alter table pending_interactions
    add column answered_by text,
    add column pod text,
    add column delivery_due_at timestamptz,
    add column lease_token uuid,
    add column delivery_attempts integer not null default 0,
    add column delivery_error text,
    add column delivered_at timestamptz,
    add column awaited_until timestamptz,
    add column withdrawn_at timestamptz,
    add column posted_at timestamptz,
    add column card jsonb,
    add column card_due_at timestamptz,
    add column card_attempts integer not null default 0,
    -- Pods of the version before would re-open a question whose answer is not delivered, and lose it.
    add constraint undelivered_stays_claimed check (claimed_at is not null or delivery_due_at is null) not valid;

-- Whose turn it is to sweep: one row for the whole cluster.
create table sweep_cycle (
    is_the_only_row boolean primary key default true check (is_the_only_row),
    began_at timestamptz not null,
    pod text
);
insert into sweep_cycle (began_at) values ('-infinity');
