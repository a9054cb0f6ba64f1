-- Alerts: what is watched, who is told, what was told. Times are milliseconds since 1970, truth values 0 and 1.

create table alert_settings (
    tenant text not null primary key references tenants (id),
    offline_minutes bigint not null,
    credential_days bigint not null,
    holds bigint not null,
    repeat_hours bigint not null,
    digest_hour bigint,
    digest_day bigint not null default 0,
    updated_by text not null,
    updated_at bigint not null
);

create table alert_destinations (
    id text not null primary key,
    tenant text not null references tenants (id),
    kind text not null,
    target text not null,
    kinds text not null default '[]',
    digest bigint not null,
    enabled bigint not null,
    secret_version bigint not null default 1,
    rotated_at bigint not null,
    created_by text not null,
    created_at bigint not null,
    failing_since bigint,
    last_error text
);
create index alert_destinations_by_tenant on alert_destinations (tenant, id);

create table alerts (
    id text not null primary key,
    tenant text not null references tenants (id),
    agent text not null,
    agent_name text not null,
    kind text not null,
    concerns text not null,
    title text not null,
    open bigint not null,
    opened_at bigint not null,
    seen_at bigint not null,
    told_at bigint not null,
    repeats bigint not null default 0,
    resolved_at bigint
);
create unique index alerts_open on alerts (tenant, kind, agent, concerns) where open = 1;
create index alerts_by_tenant on alerts (tenant, id);
create index alerts_resolved on alerts (resolved_at) where resolved_at is not null;

-- What is to be sent. It is written together with the change that it tells of.
create table alert_messages (
    id text not null primary key,
    tenant text not null references tenants (id),
    destination text not null references alert_destinations (id),
    event text not null,
    subject text not null,
    body text not null,
    created_at bigint not null,
    attempts bigint not null default 0,
    next_at bigint,
    leased_until bigint not null default 0,
    state text not null,
    finished_at bigint,
    last_error text
);
create index alert_messages_due on alert_messages (next_at) where next_at is not null;
create index alert_messages_by_destination on alert_messages (destination, created_at);
create index alert_messages_finished on alert_messages (finished_at) where finished_at is not null;

-- Which node does what only one may do.
create table turns (
    name text not null primary key,
    holder text not null,
    ends_at bigint not null
);

-- When this database was put back from a backup.
create table if not exists restores (at bigint not null);

-- The rules ask for what happened within a day.
create index notices_by_time on notices (tenant, received_at);
create index commands_by_end on commands (finished_at) where finished_at is not null;
create index secrets_by_end on secrets (decided_at) where decided_at is not null;
create index codes_by_end on codes (expires_at);
