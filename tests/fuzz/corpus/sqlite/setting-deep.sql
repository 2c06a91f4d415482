UPDATE settings SET value = printf('%.*c', 100000, '[') WHERE key = 'name';
