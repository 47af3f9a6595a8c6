"""Configs: one module for each configs/<stage>.yaml."""
