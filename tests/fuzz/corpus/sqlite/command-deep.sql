UPDATE commands SET args = printf('%.*c', 100000, '[') WHERE n = 1;
