create type mood as enum ('sad', 'OK');
