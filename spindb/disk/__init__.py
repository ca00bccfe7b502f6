"""Finds run directories on disk and reads them. Independent of the database and of ML libraries."""
