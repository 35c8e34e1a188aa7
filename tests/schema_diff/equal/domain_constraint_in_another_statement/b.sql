create domain positive as int4;
alter domain positive add check (value > 0);
alter domain positive set not null;
