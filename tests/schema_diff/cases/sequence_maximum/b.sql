create sequence counter maxvalue 200;
