"""Reporting: comparison of the runs on a tracking server."""
