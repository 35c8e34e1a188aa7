create sequence counter increment 3;
