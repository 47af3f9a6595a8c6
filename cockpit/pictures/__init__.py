"""Geometry of the page's pictures, from facts: pure functions; templates draw it as SVG."""
