"""The explorer as a Gradio app: one page, with the service behind it."""

import logging
import os
from typing import Any

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio reads it when imported: nothing leaves this machine

import gradio as gr

from etviz.ui.api import add_endpoints
from etviz.ui.bundle import bundle, styles
from etviz.ui.service import Service

LOG = logging.getLogger("etviz")
NO_SUCH_CALL = "The app did not understand this call: /gradio_api/info lists what each endpoint takes."
HEADING = {
    "title": "etviz",
    "text": "Hide parts of a picture, and an Energy Transformer fills them in. It walks downhill on an energy over all "
    "patches, step by step; the picture takes shape on the way.",
}

# Gradio's padding and width are removed, and its scrolling, which would keep things from sticking to the window. Its
# .dark class sets the colour scheme.
PAGE_STYLE = """
.gradio-container, .gradio-container :is(.main, .wrap) { max-width: none !important; padding: 0 !important; }
.gradio-container { overflow: clip !important; }
.etviz { color-scheme: light; }
.dark .etviz { color-scheme: dark; }
"""

# The page's code is sent as a prop and becomes a module here, so that there is no build step and no second request.
# A picture is sent inside its question: Gradio's uploads would be files with names that everybody shares.
MOUNT = """
const url = URL.createObjectURL(new Blob([props.code], { type: "text/javascript" }));
import(url).then(({ createExplorer }) => {
  URL.revokeObjectURL(url);
  const base64 = (file) => new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
  const readFile = async (file, model) => server.read_file({ data: await base64(file), model });
  const start = JSON.parse(JSON.stringify(props.start));
  const ask = (question) => server.ask(question);
  createExplorer(element.querySelector(".etviz"), { start, ask, readFile, address: window, alone: true });
});
"""


class Page(gr.Blocks):
    """Gradio's Blocks, where every call of an endpoint that fails says so in a sentence.

    Endpoints take plain values only. Of anything else, Gradio would look for files in it: it copies whatever file or
    address a caller names into its cache.
    """

    async def preprocess_data(self, block_fn: Any, inputs: list, *arguments: Any, **options: Any) -> Any:
        """As Gradio has it. Raises `gradio.Error` where a value is a list or an object."""
        if not all(value is None or isinstance(value, str | int | float) for value in inputs):
            raise gr.Error(NO_SUCH_CALL, print_exception=False)
        return await super().preprocess_data(block_fn, inputs, *arguments, **options)

    async def process_api(self, *arguments: Any, **options: Any) -> Any:
        """As Gradio has it. Raises `gradio.Error` where Gradio itself cannot make sense of the call."""
        try:
            return await super().process_api(*arguments, **options)
        except gr.Error:
            raise
        except Exception as error:
            LOG.warning("A call failed: %.200r", error)
            raise gr.Error(NO_SUCH_CALL, print_exception=False) from error


def build(service: Service) -> gr.Blocks:
    """The page, ready to serve. It contains a first descent, which it shows before it asks for any other."""

    def ask(question: dict) -> dict:
        return service.politely(service.ask, question)

    def read_file(question: dict) -> dict:
        return service.politely(service.read_file, question)

    with Page(title="etviz", analytics_enabled=False, fill_width=True) as blocks:
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
    blocks.state_session_capacity = service.limits.sessions
    return blocks.queue(max_size=service.limits.waiting, api_open=False)
