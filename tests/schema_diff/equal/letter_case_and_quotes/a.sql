create table T ("a" INT, B TEXT);
