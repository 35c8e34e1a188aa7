create or replace function public.f(in a int4) returns int as $body$select a$body$ language 'sql' volatile called on null input security invoker parallel unsafe cost 100;
