create table stay (night date constraint night_is_given not null) partition by range (night);
create table stay_2026 (night date not null);
alter table stay attach partition stay_2026 for values from ('2026-01-01') to ('2027-01-01');
