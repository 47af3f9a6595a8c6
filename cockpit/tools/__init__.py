"""The tools' own windows: programs of their own, or pages that are drawn from their results."""
