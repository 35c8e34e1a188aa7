create table room (number integer);
