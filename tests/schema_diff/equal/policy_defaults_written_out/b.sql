create table t (a integer);
create policy p on t as permissive for all to public using ((a > (0)));
