"""What several stages use and that knows none of them: configs, contracts, errors, files, tools."""
