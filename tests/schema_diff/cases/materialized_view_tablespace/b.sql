create materialized view label as select 1 as id;
