create table t (a timestamptz default '2026-01-01 12:00:00+00');
