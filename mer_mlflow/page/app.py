"""The page: its tabs, style and script. Nothing of it is fetched from other computers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from mer_mlflow.page.content_security import ContentSecurity
from mer_mlflow.page.errors_tab import Errors, build_errors_tab
from mer_mlflow.page.song_tab import Song, build_song_tab

TITLE = "Music emotion"
LARGEST_UPLOAD = "200mb"
FOLDER = Path(__file__).parent


def build_page(song: Song, errors: Errors) -> Any:
    """Return the page as Gradio blocks."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.Markdown(f"# {TITLE}")
        with gr.Tab("Song"):
            build_song_tab(song)
        with gr.Tab("Errors"):
            build_errors_tab(errors, blocks)
    return blocks


def build_app(song: Song, errors: Errors) -> Any:
    """Return the page as an ASGI application."""
    theme = gr.themes.Default(
        font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace")
    )
    app = gr.mount_gradio_app(
        FastAPI(openapi_url=None),
        build_page(song, errors),
        path="/",
        theme=theme,
        css=(FOLDER / "page.css").read_text(),
        head=f"<script>{(FOLDER / 'page.js').read_text()}</script>",
        footer_links=[],
        show_error=False,
        ssr_mode=False,
        pwa=False,
        max_file_size=LARGEST_UPLOAD,
    )
    return ContentSecurity(app)
