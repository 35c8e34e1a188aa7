CREATE TABLE "t" (A int, "b" text);
