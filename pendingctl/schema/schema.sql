-- What the migrations lead to, written by hand: the page to read to know the tables.
-- `pendingctl diff-schema` compares it with a migrated database.

create table organization (
    id text primary key,
    created_at timestamptz not null default now()
);
comment on table organization is 'created by pendingctl';

create table pending_interactions (
    id text primary key,
    organization_id text not null references organization (id) on delete cascade,
    connection_id text not null,
    expected_user_id text not null,          -- who may click
    entry_payload jsonb not null,            -- {"question": {…}, …}: all that routing the answer needs
    created_at timestamptz not null default now(),  -- the age clock; a retry never moves it
    claimed_at timestamptz,                  -- null while pending
    ask_number integer not null default 1,   -- one more each time the question is asked again
    answer text,                             -- the value of the winning click
    delivery_key text,                       -- the winning click's key, the same when the platform delivers it again
    answered_by text,                        -- who clicked
    pod text,                                -- the pod that claimed it
    delivery_due_at timestamptz,             -- set while the answer is undelivered: when it may be leased next;
                                             -- infinity when it is stuck and waits for a person
    lease_token uuid,                        -- who delivers it, until then
    delivery_attempts integer not null default 0,
    delivery_error text,                     -- of the last attempt that failed
    delivered_at timestamptz,
    awaited_until timestamptz,               -- until then somebody waits to read the answer, and no pod delivers it
    withdrawn_at timestamptz,                -- nobody needs the answer any more; claimed_at is set as well
    posted_at timestamptz,                   -- null as long as no card is known to be there
    card jsonb,                              -- the platform's reference of the card, where it can be written as JSON
    card_due_at timestamptz,                 -- when the card is to be edited; null when it shows what is so for good
    card_attempts integer not null default 0,
    constraint undelivered_stays_claimed check (claimed_at is not null or delivery_due_at is null)
);

create index idx_pending_interactions_unclaimed
    on pending_interactions (id, organization_id, connection_id, expected_user_id)
    where claimed_at is null;
create index idx_pending_interactions_created_at on pending_interactions (created_at);
create index idx_pending_interactions_organization on pending_interactions (organization_id, created_at);
create index idx_pending_interactions_undelivered
    on pending_interactions (delivery_due_at)
    where delivery_due_at is not null;
create index idx_pending_interactions_card_due
    on pending_interactions (card_due_at)
    where card_due_at is not null;

-- Whose turn it is to sweep: one row for the whole cluster.
create table sweep_cycle (
    is_the_only_row boolean primary key default true check (is_the_only_row),
    began_at timestamptz not null,           -- the last cycle
    pod text
);
