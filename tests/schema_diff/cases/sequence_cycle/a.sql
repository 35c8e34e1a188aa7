create sequence counter cycle;
