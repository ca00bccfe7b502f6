"""Puts things into the database."""
