"""What benchmarks share: lists, a data folder that holds them, processes to be measured, rivals, tables."""
