create sequence counter no cycle;
