-- depends: 0001_organization

create table pending_interactions (
    id text primary key,
    organization_id text not null references organization (id) on delete cascade,
    connection_id text not null,
    expected_user_id text not null,
    entry_payload jsonb not null,
    created_at timestamptz not null default now(),
    claimed_at timestamptz,
    ask_number integer not null default 1
);

-- Serves the claim of a pending question.
create index idx_pending_interactions_unclaimed
    on pending_interactions (id, organization_id, connection_id, expected_user_id)
    where claimed_at is null;

-- Serves the sweep, which takes the oldest rows first.
create index idx_pending_interactions_created_at on pending_interactions (created_at);

-- Serves the deletion of an organization, whose foreign key would scan the table, and lists of one organization.
create index idx_pending_interactions_organization on pending_interactions (organization_id, created_at);
