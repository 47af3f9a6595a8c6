"""Facts of a project's folder, each read from the files that the pipeline leaves there."""
