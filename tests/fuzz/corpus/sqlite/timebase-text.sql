UPDATE timebase SET t_ns = 'x', sample = 'y';
