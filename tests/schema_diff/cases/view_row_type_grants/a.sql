create view v as select 1 as a;
revoke usage on type v from public;
