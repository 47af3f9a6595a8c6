"""The workbench: exercises on the real pipeline, to start, check, hand out and grade."""
