"""The model registry: versions, releases and models, written once and loaded by digest."""
