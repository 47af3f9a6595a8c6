"""The workbench: exercises on the real pipeline, started, checked, hinted, handed out and graded."""
