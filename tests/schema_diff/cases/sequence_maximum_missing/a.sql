create sequence counter maxvalue 100;
