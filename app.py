"""Start the explorer: run `python app.py`, then open the address that it prints."""

import argparse
import os
import re
import shutil
import signal
import socket
import sys

STOPS = ("SIGINT", "SIGTERM", "SIGHUP")
OPEN = "Warning: whoever reaches this address can use the app. --auth FILE asks for a name and a password."
TEMPORARY: list[str] = []  # folders that go, whatever ends the process


def stop_at_once() -> None:
    """Until the page is served, let signals end the process with one line: an import would show a long traceback."""

    def stop(number: int, frame: object) -> None:
        for folder in TEMPORARY:
            shutil.rmtree(folder, ignore_errors=True)
        os.write(2, b"\nStopped.\n")
        os._exit(128 + number)

    for name in STOPS:
        known = getattr(signal, name, None)  # Windows has no SIGHUP
        if known is not None and signal.getsignal(known) is not signal.SIG_IGN:  # nohup ignores it
            signal.signal(known, stop)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command-line options. Some defaults come from Gradio's variables, as containers set them."""
    given = os.environ.get
    parser = argparse.ArgumentParser(
        description="Paint a mask over a picture, and watch an Energy Transformer fill it in."
    )
    option = parser.add_argument
    option("--checkpoint", default="et-cifar10", help="a name under checkpoints/, or the path of a run")
    option("--dataset", default="cifar10", help="cifar10, cifar100, a .npz archive or a folder of images")
    option("--data-root", default=None, help="where CIFAR is (default: ETVIZ_DATA, or else data/)")
    option(
        "--host",
        type=own_address,
        default=given("GRADIO_SERVER_NAME") or "127.0.0.1",
        help="0.0.0.0 opens it to the network (default: GRADIO_SERVER_NAME, or else 127.0.0.1)",
    )
    option(
        "--port",
        type=port_number,
        default=given("GRADIO_SERVER_PORT") or None,
        help="default: GRADIO_SERVER_PORT, or else the first free one from 7860",
    )
    option(
        "--root-path",
        type=root_path,
        default=given("GRADIO_ROOT_PATH") or "",
        help="where a proxy shows it: /etviz, or https://example.org/etviz (default: GRADIO_ROOT_PATH)",
    )
    option("--allow-host", action="append", default=[], type=host_name, help="a name that a proxy gives it; repeatable")
    option("--embed-in", action="append", default=[], type=origin, help="a site that may frame the page; repeatable")
    option("--auth", default=None, metavar="FILE", help="ask for a name and password: one name:password a line")
    option("--share", action="store_true", help="also create a public gradio.live link")
    option("--mcp", action="store_true", help="also offer the endpoints as MCP tools")
    return parser.parse_args(arguments)


def port_number(text: str) -> int:
    """Parse --port. Raises `argparse.ArgumentTypeError` where it is not a port."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def own_address(text: str) -> str:
    """Parse --host. Raises `argparse.ArgumentTypeError` where this machine does not have that address."""
    try:
        family, kind, protocol, _, (address, *_) = socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind((address, 0))
    except (OSError, UnicodeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of this machine: try 127.0.0.1") from error
    return text


def root_path(text: str) -> str:
    """Parse --root-path. Raises `argparse.ArgumentTypeError` where it is neither a path nor a web address."""
    if text and not re.fullmatch(r"(https?://[\w.:\[\]-]+)?(/[\w.~-]+)*/?", text):
        raise argparse.ArgumentTypeError(f"it looks like /etviz or https://example.org/etviz, not {text!r}")
    return text.rstrip("/")


def host_name(text: str) -> str:
    """Parse --allow-host. Raises `argparse.ArgumentTypeError` where it is no host."""
    if not re.fullmatch(r"(\*\.)?[\w-]+(\.[\w-]+)*", text):
        raise argparse.ArgumentTypeError(f"it looks like etviz.example.org or *.example.org, not {text!r}")
    return text.lower()


def origin(text: str) -> str:
    """Parse --embed-in. Raises `argparse.ArgumentTypeError` where it is no site."""
    if not re.fullmatch(r"https?://(\*\.)?[\w.-]+(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"a site looks like https://lectures.example.org, not {text!r}")
    return text


def can_speak_mcp() -> bool:
    """Whether the package that Gradio needs for MCP is installed, in a version that Gradio supports."""
    try:
        import gradio.mcp
    except ImportError:
        return False
    return bool(gradio.mcp)


def run(options: argparse.Namespace) -> None:
    """Load the model, and serve the page until it is stopped. Raises `UsageError` where an option cannot be met."""
    from etviz.errors import UsageError  # here, so that --help is instant
    from etviz.files import private_folder
    from etviz.ui.service import Service

    service = Service(options.checkpoint, options.dataset, options.data_root)
    with private_folder() as folder:
        TEMPORARY.append(folder)
        os.environ["GRADIO_TEMP_DIR"] = folder  # Gradio makes it when imported; its own one is shared by all users
        from etviz.ui.server import Serving, is_private, read_accounts, serve

        if options.mcp and options.auth:
            raise UsageError("--auth guards the page, but not --mcp: choose one of the two.")
        if options.mcp and not can_speak_mcp():
            raise UsageError('--mcp needs a package that is missing or too new: pip install "gradio[mcp]".')
        accounts = read_accounts(options.auth) if options.auth else []
        if not accounts and (options.share or not is_private(options.host)):
            print(OPEN, file=sys.stderr)
        chosen = {name: getattr(options, name) for name in ("host", "port", "root_path", "embed_in", "share", "mcp")}
        serve(service, Serving(allow_hosts=options.allow_host, auth=accounts, **chosen))


def main() -> int:
    """Serve the page. Returns the exit status: 2 where an option cannot be met."""
    stop_at_once()
    options = parse()
    from etviz.errors import UsageError

    try:
        run(options)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
