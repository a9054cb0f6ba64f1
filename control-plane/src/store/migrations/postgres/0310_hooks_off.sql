-- A hook that is switched off keeps its address and takes nothing.
alter table hooks add column disabled_at bigint;
