create materialized view m as select 1 as a;
alter table m replica identity full;
