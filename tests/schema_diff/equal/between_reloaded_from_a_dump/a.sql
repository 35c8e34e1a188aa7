create table stay (
    nights integer, guests integer,
    constraint sane check ((nights >= 1) and (nights <= 99) and (guests > 0))
);
create view short_stay as select nights from stay where (nights >= 1) and (nights <= 3) and (guests > 0);
