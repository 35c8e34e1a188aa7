create table bottle (
    id integer constraint bottle_key primary key using index tablespace cellar
);
