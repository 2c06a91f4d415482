UPDATE settings SET value = '{}' WHERE key = 'filter_delay_samples';
