create sequence counter increment 2;
