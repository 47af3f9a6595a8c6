"""What two or more stages use: config, contracts, errors, files, clock, model, tracking."""
