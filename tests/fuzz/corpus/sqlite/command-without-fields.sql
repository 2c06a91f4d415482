UPDATE commands SET args = '{"test": "left_median"}' WHERE name = 'stim.plan';
