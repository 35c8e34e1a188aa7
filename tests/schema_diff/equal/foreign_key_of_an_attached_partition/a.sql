create table room (id int primary key);
create table stay (room int constraint its_room references room) partition by list (room);
create table stay_1 partition of stay for values in (1);
