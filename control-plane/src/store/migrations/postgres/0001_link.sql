-- Tenants, enrollment codes, agents, and all that goes over the link.
-- Times are milliseconds since 1970, truth values are 0 and 1, ids are text, structures are JSON.

create table tenants (
    id text not null primary key,
    name text not null unique,
    created_at bigint not null
);

create table codes (
    id text not null primary key,
    tenant text not null references tenants (id),
    hash text not null unique,
    name text not null,
    approve bigint not null,
    created_by text not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint,
    agent text,
    revoked_at bigint
);
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
    enrolled_at bigint not null,
    approved_at bigint,
    approved_by text,
    revoked_at bigint,
    revoked_by text,
    last_seen bigint,
    instance text,
    instance_started bigint,
    instance_since bigint,
    lineage_started bigint,
    challenger text,
    challenger_started bigint,
    reported bigint not null default 0,
    in_force bigint not null default 0,
    in_force_hash text not null default '',
    audit_entries bigint,
    audit_head text,
    template text,
    template_values text not null default '{}'
);
create index agents_by_tenant on agents (tenant, id);
create index agents_by_template on agents (tenant, template);

-- Lives of agents that must not work: an older one with the same identity does.
create table fences (
    agent text not null references agents (id),
    tenant text not null,
    instance text not null,
    at bigint not null,
    primary key (agent, instance)
);

-- Nonces of assertions that were used, for as long as the assertions would still be timely.
create table nonces (
    agent text not null,
    nonce text not null,
    at bigint not null,
    primary key (agent, nonce)
);
create index nonces_by_time on nonces (at);

create table statuses (
    agent text not null primary key references agents (id),
    tenant text not null,
    at bigint not null,
    received_at bigint not null,
    body text not null
);

create table deliveries (
    seq bigint generated always as identity primary key,
    id text not null unique,
    tenant text not null,
    agent text not null references agents (id),
    kind text not null,
    hook text,
    number bigint,
    body text not null,
    bytes bigint not null,
    created_at bigint not null,
    expires_at bigint
);
create index deliveries_by_agent on deliveries (agent, seq);
create index deliveries_by_hook on deliveries (hook, bytes) where hook is not null;
create index deliveries_by_expiry on deliveries (expires_at) where expires_at is not null;

create table revisions (
    agent text not null references agents (id),
    tenant text not null,
    number bigint not null,
    delivery text not null unique,
    toml text not null,
    hash text not null,
    author text not null,
    note text not null,
    created_at bigint not null,
    diff text not null,
    rolls_back bigint,
    taken_at bigint,
    state text not null,
    decided_at bigint,
    findings text not null default '[]',
    primary key (agent, number)
);

create table templates (
    id text not null primary key,
    tenant text not null references tenants (id),
    name text not null,
    toml text not null,
    version bigint not null,
    author text not null,
    created_at bigint not null,
    updated_at bigint not null,
    unique (tenant, name)
);

create table commands (
    id text not null primary key,
    tenant text not null,
    agent text not null references agents (id),
    word text not null,
    verb text not null,
    author text not null,
    reason text not null,
    created_at bigint not null,
    expires_at bigint not null,
    taken_at bigint,
    state text not null,
    finished_at bigint,
    words text not null default '',
    detail text not null default ''
);
create index commands_by_agent on commands (agent, created_at);

create table secrets (
    id text not null primary key,
    tenant text not null,
    agent text not null references agents (id),
    name text not null,
    author text not null,
    created_at bigint not null,
    state text not null,
    decided_at bigint,
    refused text
);
create index secrets_by_agent on secrets (agent, created_at);

create table notices (
    seq bigint generated always as identity primary key,
    tenant text not null,
    agent text not null references agents (id),
    origin text not null,
    report bigint,
    at bigint not null,
    received_at bigint not null,
    level text not null,
    code text not null,
    concerns text,
    what text not null,
    fix text not null
);
create index notices_by_tenant on notices (tenant, seq);
create index notices_by_agent on notices (agent, seq);

create table hooks (
    id text not null primary key,
    tenant text not null,
    agent text not null references agents (id),
    connection text not null,
    created_by text not null,
    created_at bigint not null,
    deleted_at bigint,
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

-- How webhooks ended, counted by day: `day` is the first millisecond of it (UTC).
create table webhook_outcomes (
    agent text not null references agents (id),
    tenant text not null,
    day bigint not null,
    outcome text not null,
    code text not null,
    count bigint not null,
    primary key (agent, day, outcome, code)
);
