"""Reporting: tables made from the runs on a tracking server."""
