-- People, their sessions and tokens, what they did, and answers that may be asked for again.
-- The tenant `*` is the fleet: its people look after all tenants.

create table users (
    id text not null primary key,
    tenant text not null,
    email text not null unique,
    name text not null,
    role text not null,
    password text,
    password_at bigint,
    totp text,
    totp_pending text,
    totp_step bigint not null default 0,
    oidc_provider text,
    oidc_subject text,
    created_at bigint not null,
    created_by text not null,
    disabled_at bigint,
    unique (oidc_provider, oidc_subject)
);
create index users_by_tenant on users (tenant, id);

-- The hash of the cookie's word, never the word.
create table sessions (
    id text not null primary key,
    hash text not null unique,
    tenant text not null,
    user_id text not null references users (id) on delete cascade,
    how text not null,
    address text not null,
    browser text not null,
    created_at bigint not null,
    seen_at bigint not null
);
create index sessions_by_user on sessions (user_id, id);
create index sessions_by_time on sessions (created_at);

-- The hash of the token's secret, never the secret.
create table tokens (
    id text not null primary key,
    hash text not null,
    tenant text not null,
    user_id text not null references users (id) on delete cascade,
    name text not null,
    scopes text not null,
    created_at bigint not null,
    expires_at bigint not null,
    used_at bigint,
    revoked_at bigint
);
create index tokens_by_tenant on tokens (tenant, id);

-- Each entry covers the one before it; nothing is ever changed or removed.
create table admin_audit (
    tenant text not null,
    entry bigint not null,
    at bigint not null,
    who text not null,
    who_id text not null,
    action text not null,
    target text not null,
    detail text not null,
    request text not null,
    hash text not null,
    primary key (tenant, entry)
);
create table admin_audit_heads (
    tenant text not null primary key,
    entries bigint not null,
    head text not null
);

-- Answers to creates, sealed with what only the asker has.
create table answers (
    owner text not null,
    key_hash text not null,
    request_hash text not null,
    status bigint,
    sealed text,
    created_at bigint not null,
    primary key (owner, key_hash)
);
create index answers_by_time on answers (created_at);

-- Nothing in the log is changed or removed; the engines differ in how they refuse.
create function admin_audit_is_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'the admin audit log is append-only';
end
$$;
create trigger admin_audit_stays before update or delete on admin_audit
for each row execute function admin_audit_is_append_only();
