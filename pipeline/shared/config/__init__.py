"""Configs: one module for each configs/<stage>.yaml, read by the stages that need it."""
