"""Activity in files of others: plain arrays, neo, NWB."""
