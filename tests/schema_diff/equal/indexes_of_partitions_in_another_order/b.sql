create table stay (room int, night date, guest text) partition by range (night);
create table stay_2026 partition of stay for values from ('2026-01-01') to ('2027-01-01') partition by list (room);
create table stay_2026_1 partition of stay_2026 for values in (1);
alter table stay add constraint once_in_the_end unique (room, night) deferrable;
alter table stay add constraint once unique (room, night);
create index upper_guests on stay (upper(guest));
create index lower_guests on stay (lower(guest));
create index named_guests on stay (guest) where guest <> '';
create index guests on stay (guest);
