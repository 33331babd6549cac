"""Web page of ``mer page``: emotion of a song, and errors of a cross-validation.

Only ``app``, ``song_tab``, ``errors_tab`` and ``server`` import Gradio, which is optional.
"""
