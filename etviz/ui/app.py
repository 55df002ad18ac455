"""The explorer as a Gradio app: one page, with the service behind it."""

import os
import threading

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio reads it when imported: nothing leaves this machine

import gradio as gr
from gradio.themes import Base
from gradio.utils import get_upload_folder

from etviz.ui.api import add_endpoints
from etviz.ui.bundle import bundle, styles
from etviz.ui.limits import LIMITS
from etviz.ui.readings.quality import warm_up
from etviz.ui.service import Service

HEADING = {
    "title": "etviz",
    "text": "Hide parts of a picture, and an Energy Transformer fills them in. It walks downhill on an energy over all "
    "patches, step by step; the picture takes shape on the way.",
}
SYSTEM_FONTS = ["system-ui", "sans-serif"]  # by name, since Gradio's default would be fetched from elsewhere
SYSTEM_MONO = ["ui-monospace", "monospace"]
PAGE, PAGE_DARK = "#faf9f6", "#141518"  # --page in page.css

# Gradio's padding and width are removed, and its scrolling, which would keep things from sticking to the window. Its
# .dark class sets the colour scheme.
PAGE_STYLE = """
.gradio-container, .gradio-container :is(.main, .wrap) { max-width: none !important; padding: 0 !important; }
.gradio-container { overflow: clip !important; }
.etviz { color-scheme: light; }
.dark .etviz { color-scheme: dark; }
"""

# The page's code is sent as a prop and becomes a module here, so that there is no build step and no second request.
MOUNT = """
const url = URL.createObjectURL(new Blob([props.code], { type: "text/javascript" }));
import(url).then(({ createExplorer }) => {
  URL.revokeObjectURL(url);
  const readFile = async (file, model) => server.read_file({ path: (await upload(file)).path, model });
  const start = JSON.parse(JSON.stringify(props.start));
  const ask = (question) => server.ask(question);
  createExplorer(element.querySelector(".etviz"), { start, ask, readFile, address: window });
});
"""


def build(service: Service) -> gr.Blocks:
    """The page, ready to launch. It contains a first descent, which it shows before it asks for any other."""

    def ask(question: dict) -> dict:
        return service.politely(service.ask, question)

    def read_file(question: dict) -> dict:
        return service.politely(service.read_file, question, get_upload_folder())

    with gr.Blocks(title="etviz", analytics_enabled=False, fill_width=True, delete_cache=(600, 600)) as blocks:
        gr.HTML(
            html_template='<div class="etviz"></div>',
            head=f"<style>{styles()}{PAGE_STYLE}</style>",
            js_on_load=MOUNT,
            apply_default_css=False,
            server_functions=[ask, read_file],
            code=bundle(),
            start={"heading": HEADING, **service.start()},
        )
        add_endpoints(service)
    return blocks.queue(max_size=service.limits.waiting)


def launch(
    blocks: gr.Blocks, host: str = "127.0.0.1", port: int | None = None, share: bool = False, mcp: bool = False
) -> str:
    """Serve the page in the background and return its address. With ``mcp``, its endpoints are MCP tools as well.

    Raises:
        OSError: the port is taken; where it is None, every port from 7860 to 7959 is.
    """
    theme = Base(font=SYSTEM_FONTS, font_mono=SYSTEM_MONO).set(
        body_background_fill=PAGE, body_background_fill_dark=PAGE_DARK
    )
    _, local_url, share_url = blocks.launch(
        server_name=host,
        server_port=port,
        share=share,
        theme=theme,
        quiet=True,
        prevent_thread_lock=True,
        inbrowser=False,
        mcp_server=mcp,
        show_error=False,
        max_file_size=LIMITS.file_bytes,
        strict_cors=True,
        ssr_mode=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )
    threading.Thread(target=warm_up, daemon=True).start()
    return share_url or local_url
