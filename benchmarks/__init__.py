"""Measurements of the playground and of the model it ships; each is a command."""
