UPDATE commands SET args = json_set(args, '$.current_ma', '[]', '$.command', json('{}')) WHERE name = 'stim.plan';
