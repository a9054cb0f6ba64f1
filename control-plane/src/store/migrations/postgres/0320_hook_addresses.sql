-- Of the address of a hook only a hash is kept, and a hook goes by its name. The rows move into the new table, and the old
-- one goes, within this step (`hook_addresses.rs`). Programs of before cannot add one with its address in the clear.
alter table hooks rename to hooks_in_clear;
drop index hooks_by_agent;
create table hooks (
    id text not null primary key,
    address_hash text not null unique,
    tenant text not null,
    agent text not null references agents (id),
    connection text not null,
    created_by text not null,
    created_at bigint not null,
    deleted_at bigint,
    disabled_at bigint,
    headers text not null default '[]',
    largest_body bigint not null,
    per_second bigint not null,
    burst bigint not null,
    most_bytes bigint not null,
    keep_millis bigint not null,
    received bigint not null default 0,
    refused bigint not null default 0,
    last_at bigint
);
create index hooks_by_agent on hooks (agent, id);
create index hooks_by_creation on hooks (created_at) where deleted_at is null;

-- Nor can they keep a webhook with it; the engines differ in how that is said.
alter table deliveries add constraint deliveries_name_their_hook check (length(hook) <= 40) not valid;
