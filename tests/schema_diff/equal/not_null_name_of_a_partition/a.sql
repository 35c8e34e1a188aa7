create table stay (night date constraint night_is_given not null) partition by range (night);
create table stay_2026 partition of stay for values from ('2026-01-01') to ('2027-01-01');
