UPDATE settings SET value = 'x' WHERE key = 'anchor';
