"""Code that several stages share and that knows none of them: configs, contracts, files, tools."""
