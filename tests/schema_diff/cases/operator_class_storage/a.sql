create operator class c for type point using gist as storage box;
