create operator class c for type point using gist as operator 1 << (point, point);
