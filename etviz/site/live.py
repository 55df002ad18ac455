"""A descent as one HTML file in which one can go on painting: it holds the engine, the weights and a few pictures."""

import base64
import dataclasses

from etviz.errors import UsageError
from etviz.examples import Pictures
from etviz.reports.render import render
from etviz.site.describe import HEADING, describe_model, describe_pictures
from etviz.site.pages import POLICY, as_classic, hash_of, policy_text, site_styles
from etviz.site.store import Store
from etviz.ui.bundle import bundle, styles
from etviz.ui.protocol import Backend
from etviz.ui.readings.descent import read_descent
from etviz.ui.readings.gallery import gallery_page
from etviz.ui.replay import in_script
from etviz.ui.request import Request
from etviz.version import __version__

TITLE = "etviz: a descent to go on with"
PLACE = "%DATA%"  # where a site's page puts what the file carries
PICTURES = 24  # in the file
NOTHING_FETCHED = {"connect-src": "'none'", "worker-src": "blob:", "manifest-src": "'none'"}
LARGEST = 8_000_000  # numbers in a model: 16 MB in half precision, and a third more in a page
VIEWS = ("explore", "energy", "attention", "memories", "landscape", "compare", "guide")  # a file carries no trainings


def live_page(service: Backend, question: dict) -> str:
    """A page that shows the descent of ``question``, and answers new questions by itself.

    Args:
        service: the app's, a notebook's or a site's.
        question: as `Backend.read_request` takes it.

    Raises:
        UsageError: as `Backend.read_request`, or the model is too large for a page.
    """
    request = service.read_request(question)
    check_size(request)
    pictures = carried_pictures(service, request)
    store = Store()
    catalogue = live_catalogue(service, request, pictures, store) | {
        "start": start(service, question, request, pictures)
    }
    files = {path: base64.b64encode(data).decode() for path, data in store.files.items()}
    return live_template(in_script({"catalogue": catalogue, "views": VIEWS, "files": files}))


def live_template(data: str = PLACE) -> str:
    """The page around what it carries, which is {catalogue, views, files: base64 by path} as JSON."""
    code, sheet = as_classic(bundle("live.js")), styles() + site_styles()
    return render(
        "live.html",
        title=TITLE,
        policy=policy_of(code, sheet),
        styles=sheet,
        data=data,
        engine=as_classic(bundle("engine/worker.js")),
        code=code,
    )


def check_size(request: Request) -> None:
    """Raise `UsageError` where the model is too large for a page."""
    count = sum(parameter.numel() for parameter in request.energy_model.parameters())
    if count > LARGEST:
        raise UsageError(
            f"{request.model_name} has {count:,} parameters, too many for one page: {LARGEST:,} is the most."
        )


def carried_pictures(service: Backend, request: Request) -> Pictures:
    """The picture on screen, then others of its gallery; of the first gallery where it is an upload."""
    dataset, index = request.picture.get("dataset", service.galleries[0]), request.picture.get("index")
    gallery = service.pictures(dataset, request.model.img_size)
    others = [number for number in gallery.arranged() if number != index]
    chosen = [*([] if index is None else [index]), *others][:PICTURES]
    labels = [gallery.labels[number] for number in chosen]
    return dataclasses.replace(gallery, images=gallery.images[chosen], labels=labels)


def live_catalogue(service: Backend, request: Request, pictures: Pictures, store: Store) -> dict:
    """The catalogue of a file: one model, and the pictures."""
    model = describe_model(store, shown_name(request), "", request.model, pictures)
    return {
        "version": __version__,
        "limits": dataclasses.asdict(service.limits),
        "models": [{**model, "run": run_of(model), "snapshots": []}],
        "datasets": [describe_pictures(store, pictures.source, pictures)],
    }


def run_of(model: dict) -> dict:
    """What Compare knows of the model, as `etviz.ui.runs.describe_run` has it: a file carries no training."""
    config = model["config"]
    own = {key: config.get(key) for key in ("step_size", "beta")}
    sizes = {key: model[key] for key in ("name", "energy", "patches", "size")}
    return {**sizes, **own, "snapshots": [], "epoch": None, "dataset": None}


def shown_name(request: Request) -> str:
    """The model's name, with the snapshot whose weights it has."""
    name, snapshot = request.model_name, request.snapshot
    return name if snapshot is None else f"{name} {snapshot.removesuffix('.safetensors')}"


def start(service: Backend, question: dict, request: Request, pictures: Pictures) -> dict:
    """What the file shows at first: the descent of the question, whose picture is number 0 here."""
    model, dataset = shown_name(request), pictures.source
    answer = read_descent(service, question) | {"seq": 0, "model": model, "snapshot": None}
    if "index" in answer["picture"]:
        answer["picture"] = {"dataset": dataset, "index": 0}
    page = gallery_page(pictures, pictures.arranged(), 0, service.limits.thumbnails)
    return {
        "heading": HEADING,
        "models": [{"name": model, "facts": "", "patches": request.model.num_patches}],
        "datasets": [{"name": dataset, "title": dataset}],
        "gallery": {"dataset": dataset, "label": None, "page": 0, **page},
        "limits": service.limits.for_page(),
        "uploads": True,
        "answer": answer,
    }


def policy_of(code: str, sheet: str) -> str:
    """The policy of a page with one script and one style sheet: nothing else runs, and nothing is fetched."""
    own = {"script-src": f"{hash_of(code)} 'wasm-unsafe-eval'", "style-src": hash_of(sheet)}
    return policy_text(POLICY | NOTHING_FETCHED | own)
