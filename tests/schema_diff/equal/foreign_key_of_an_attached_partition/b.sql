create table room (id int primary key);
create table stay (room int constraint its_room references room) partition by list (room);
create table stay_1 (room int references room);
alter table stay attach partition stay_1 for values in (1);
