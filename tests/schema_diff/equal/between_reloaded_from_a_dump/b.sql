create table stay (
    nights integer, guests integer,
    constraint sane check (nights between 1 and 99 and guests > 0)
);
create view short_stay as select nights from stay where nights between 1 and 3 and guests > 0;
