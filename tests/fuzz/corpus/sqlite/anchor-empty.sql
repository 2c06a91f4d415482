UPDATE settings SET value = '[]' WHERE key = 'anchor';
