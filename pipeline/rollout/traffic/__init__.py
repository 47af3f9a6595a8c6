"""Servers, proxy and logs: who gets which traffic, and what came of each request."""
