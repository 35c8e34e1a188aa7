create type pair as (a integer, b varchar(9));
