create type mood as enum ('sad', 'glad');
alter type mood add value 'ok' before 'glad';
