-- Moments that outlive a process, by name: what jobs last took for the present, and up to when nonces are forgotten.
create table times (
    name text not null primary key,
    at bigint not null
);
