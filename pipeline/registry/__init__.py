"""Registered versions, their releases and the models in them: written once, loaded by digest."""
