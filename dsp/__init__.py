"""What do the numbers mean? Arrays in, arrays out: filters, sweeps, averages, noise, measurements."""
