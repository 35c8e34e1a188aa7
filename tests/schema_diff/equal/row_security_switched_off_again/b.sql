create table t (a integer);
alter table t enable row level security;
alter table t force row level security;
alter table t disable row level security;
alter table t no force row level security;
