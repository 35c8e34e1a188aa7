create sequence counter as integer;
