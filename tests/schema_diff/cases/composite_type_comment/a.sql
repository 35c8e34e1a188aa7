create type pair as (a integer, b text);
comment on type pair is 'two';
