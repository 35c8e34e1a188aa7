create type pair as (a integer, b text);
comment on column pair.a is 'one';
