create table stay (room int, night date, guest text) partition by range (night);
create table stay_2026 partition of stay for values from ('2026-01-01') to ('2027-01-01') partition by list (room);
create table stay_2026_1 partition of stay_2026 for values in (1);
create index guests on stay (guest);
