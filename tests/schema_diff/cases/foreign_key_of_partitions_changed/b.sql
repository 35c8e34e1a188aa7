create table room (id int primary key);
create table stay (room int) partition by list (room);
create table stay_1 partition of stay for values in (1);
alter table stay add constraint f foreign key (room) references room on delete cascade;
