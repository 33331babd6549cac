"""Sections of the report: each module makes one from the cross-validations."""
