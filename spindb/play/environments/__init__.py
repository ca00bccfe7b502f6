"""Environments: which ids are built, and what may be imported for them."""
