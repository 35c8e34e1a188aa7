create table u (
    x text
        collate "C"
);
