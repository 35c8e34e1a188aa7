create table room (hotel integer, number integer, primary key (hotel, number));
create table guest (
    hotel integer, room integer,
    constraint guest_room foreign key (hotel, room) references room on delete set null (room, hotel)
);
