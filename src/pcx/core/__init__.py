"""Params, modules and the lift from functions on objects to functions on arrays. Imports JAX alone."""
