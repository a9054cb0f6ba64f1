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
    created_at integer not null,
    deleted_at integer,
    disabled_at integer,
    headers text not null default '[]',
    largest_body integer not null,
    per_second integer not null,
    burst integer not null,
    most_bytes integer not null,
    keep_millis integer not null,
    received integer not null default 0,
    refused integer not null default 0,
    last_at integer
) strict;
create index hooks_by_agent on hooks (agent, id);
create index hooks_by_creation on hooks (created_at) where deleted_at is null;

-- Nor can they keep a webhook with it; the engines differ in how that is said.
create trigger deliveries_name_their_hook before insert on deliveries when length(new.hook) > 40 begin
    select raise(abort, 'a delivery names its hook, not the address of it');
end;
