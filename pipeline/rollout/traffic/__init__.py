"""Servers, proxy and logs: the route of each request, and the evidence of its result."""
