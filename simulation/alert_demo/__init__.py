"""An alert as it happens: a real Prometheus watches real servers, and a fault is injected."""
