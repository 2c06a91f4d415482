UPDATE settings SET value = '[0, 0, 0]' WHERE key = 'anchor';
DELETE FROM timebase;
