create materialized view label tablespace cellar as select 1 as id;
