create type pair as (a integer, gone bigint, b text);
alter type pair drop attribute gone;
