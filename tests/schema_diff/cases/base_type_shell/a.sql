create type label;
