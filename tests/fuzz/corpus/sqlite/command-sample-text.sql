UPDATE commands SET sample = 'x' WHERE n = 1;
