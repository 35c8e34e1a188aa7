create sequence counter cache 20;
