create type feeling as enum ('sad', 'ok');
