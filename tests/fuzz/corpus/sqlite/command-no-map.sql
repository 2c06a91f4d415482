UPDATE commands SET args = '[1]' WHERE n = 1;
