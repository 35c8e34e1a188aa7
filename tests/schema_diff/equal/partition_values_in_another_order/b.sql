create table room (floor text, number integer) partition by list (floor);
create table room_upper partition of room for values in ('second', 'first', null);
