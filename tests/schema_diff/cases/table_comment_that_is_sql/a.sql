create table room (number integer);
comment on table room is 'select ARRAY[1]';
