create type mood as enum ('sad', 'fine');
alter type mood rename value 'fine' to 'ok';
