UPDATE commands SET args = '{"test": ["left_median"]}' WHERE n = 1;
