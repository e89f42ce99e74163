"""Numbered SQL steps of the two files."""
