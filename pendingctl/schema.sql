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
    delivery_key text                        -- the winning click's key, the same when the platform delivers it again
);

create index idx_pending_interactions_unclaimed
    on pending_interactions (id, organization_id, connection_id, expected_user_id)
    where claimed_at is null;
create index idx_pending_interactions_created_at on pending_interactions (created_at);
create index idx_pending_interactions_organization on pending_interactions (organization_id, created_at);
