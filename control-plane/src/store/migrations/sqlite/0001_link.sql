-- Tenants, enrollment codes, agents, and all that goes over the link.
-- Times are milliseconds since 1970, truth values are 0 and 1, ids are text, structures are JSON.

create table tenants (
    id text not null primary key,
    name text not null unique,
    created_at integer not null
) strict;

create table codes (
    id text not null primary key,
    tenant text not null references tenants (id),
    hash text not null unique,
    name text not null,
    approve integer not null,
    created_by text not null,
    created_at integer not null,
    expires_at integer not null,
    used_at integer,
    agent text,
    revoked_at integer
) strict;
create index codes_by_tenant on codes (tenant, created_at);

create table agents (
    id text not null primary key,
    tenant text not null references tenants (id),
    name text not null,
    host text not null,
    platform text not null,
    agent_version text not null,
    signing text not null,
    recipient text not null,
    fingerprint text not null,
    previous_signing text,
    enrolled_at integer not null,
    approved_at integer,
    approved_by text,
    revoked_at integer,
    revoked_by text,
    last_seen integer,
    instance text,
    instance_started integer,
    instance_since integer,
    lineage_started integer,
    challenger text,
    challenger_started integer,
    reported integer not null default 0,
    in_force integer not null default 0,
    in_force_hash text not null default '',
    audit_entries integer,
    audit_head text,
    template text,
    template_values text not null default '{}'
) strict;
create index agents_by_tenant on agents (tenant, id);
create index agents_by_template on agents (tenant, template);

-- Lives of agents that must not work: an older one with the same identity does.
create table fences (
    agent text not null references agents (id),
    tenant text not null,
    instance text not null,
    at integer not null,
    primary key (agent, instance)
) strict, without rowid;

-- Nonces of assertions that were used, for as long as the assertions would still be timely.
create table nonces (
    agent text not null,
    nonce text not null,
    at integer not null,
    primary key (agent, nonce)
) strict, without rowid;
create index nonces_by_time on nonces (at);

create table statuses (
    agent text not null primary key references agents (id),
    tenant text not null,
    at integer not null,
    received_at integer not null,
    body text not null
) strict;

create table deliveries (
    seq integer primary key autoincrement,
    id text not null unique,
    tenant text not null,
    agent text not null references agents (id),
    kind text not null,
    hook text,
    number integer,
    body text not null,
    bytes integer not null,
    created_at integer not null,
    expires_at integer
) strict;
create index deliveries_by_agent on deliveries (agent, seq);
create index deliveries_by_hook on deliveries (hook, bytes) where hook is not null;
create index deliveries_by_expiry on deliveries (expires_at) where expires_at is not null;

create table revisions (
    agent text not null references agents (id),
    tenant text not null,
    number integer not null,
    delivery text not null unique,
    toml text not null,
    hash text not null,
    author text not null,
    note text not null,
    created_at integer not null,
    diff text not null,
    rolls_back integer,
    taken_at integer,
    state text not null,
    decided_at integer,
    findings text not null default '[]',
    primary key (agent, number)
) strict;

create table templates (
    id text not null primary key,
    tenant text not null references tenants (id),
    name text not null,
    toml text not null,
    version integer not null,
    author text not null,
    created_at integer not null,
    updated_at integer not null,
    unique (tenant, name)
) strict;

create table commands (
    id text not null primary key,
    tenant text not null,
    agent text not null references agents (id),
    word text not null,
    verb text not null,
    author text not null,
    reason text not null,
    created_at integer not null,
    expires_at integer not null,
    taken_at integer,
    state text not null,
    finished_at integer,
    words text not null default '',
    detail text not null default ''
) strict;
create index commands_by_agent on commands (agent, created_at);

create table secrets (
    id text not null primary key,
    tenant text not null,
    agent text not null references agents (id),
    name text not null,
    author text not null,
    created_at integer not null,
    state text not null,
    decided_at integer,
    refused text
) strict;
create index secrets_by_agent on secrets (agent, created_at);

create table notices (
    seq integer primary key autoincrement,
    tenant text not null,
    agent text not null references agents (id),
    origin text not null,
    report integer,
    at integer not null,
    received_at integer not null,
    level text not null,
    code text not null,
    concerns text,
    what text not null,
    fix text not null
) strict;
create index notices_by_tenant on notices (tenant, seq);
create index notices_by_agent on notices (agent, seq);

create table hooks (
    id text not null primary key,
    tenant text not null,
    agent text not null references agents (id),
    connection text not null,
    created_by text not null,
    created_at integer not null,
    deleted_at integer,
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

-- How webhooks ended, counted by day: `day` is the first millisecond of it (UTC).
create table webhook_outcomes (
    agent text not null references agents (id),
    tenant text not null,
    day integer not null,
    outcome text not null,
    code text not null,
    count integer not null,
    primary key (agent, day, outcome, code)
) strict, without rowid;

-- Agents to be woken, written by processes that cannot tell the server otherwise.
create table wakes (
    seq integer primary key autoincrement,
    agent text not null,
    at integer not null
) strict;
