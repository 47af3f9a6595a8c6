"""Layer two: served inputs and predictions, before any label has arrived."""
