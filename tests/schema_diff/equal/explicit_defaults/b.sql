create table u (id int primary key);
create table t (a int null references u (id) match simple on update no action on delete no action not deferrable initially immediate, b int unique nulls distinct not deferrable);
