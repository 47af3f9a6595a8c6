"""The alert demo: a real Prometheus monitors real servers, and a fault is injected."""
