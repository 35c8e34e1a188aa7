create operator family near using btree;
create operator class c for type point using gist as operator 15 <-> (point, point) for order by pg_catalog.float_ops;
