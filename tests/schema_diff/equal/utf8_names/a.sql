create table "größe" ("é" int default 1);
