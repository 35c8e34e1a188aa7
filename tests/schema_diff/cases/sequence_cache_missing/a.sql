create sequence counter cache 10;
