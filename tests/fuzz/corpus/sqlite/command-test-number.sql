UPDATE commands SET args = '{"test": 5}' WHERE n = 1;
