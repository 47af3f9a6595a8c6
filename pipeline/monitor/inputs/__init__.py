"""Layer two: what was served and answered, before any label is there."""
