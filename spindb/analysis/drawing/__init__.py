"""Figures and text pictures, and what they are laid out from."""
