UPDATE settings SET value = '[0, 0, 9000000000000000000]' WHERE key = 'anchor';
DELETE FROM timebase;
