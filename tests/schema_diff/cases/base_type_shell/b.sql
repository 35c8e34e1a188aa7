create type label;
create type other;
