"""Open the explorer: python app.py, then the address it prints."""

import argparse
import socket
import sys


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description="Paint a mask over a picture; watch an Energy Transformer fill it in.")
    parser.add_argument("--checkpoint", default="et-cifar10", help="name under checkpoints/, or the path of a run")
    parser.add_argument("--dataset", default="cifar10", help="cifar10, cifar100, an .npz archive or a folder of images")
    parser.add_argument("--data-root", default=None, help="where CIFAR lies (default: ETVIZ_DATA, else data/)")
    parser.add_argument("--host", type=own_address, default="127.0.0.1", help="0.0.0.0 opens it to the network")
    parser.add_argument("--port", type=port_number, default=None, help="default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="also make a public gradio.live link")
    parser.add_argument("--mcp", action="store_true", help="also offer the endpoints as tools over MCP")
    return parser.parse_args(arguments)


def port_number(text: str) -> int:
    """What --port takes. Raises `argparse.ArgumentTypeError` for anything else."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 1 to 65535, not {text!r}")
    return int(text)


def own_address(text: str) -> str:
    """What --host takes. Raises `argparse.ArgumentTypeError` for others: the server would try them again and again."""
    try:
        family, kind, protocol, _, (address, *_) = socket.getaddrinfo(text, None, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind((address, 0))
    except (OSError, UnicodeError) as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address of this machine: try 127.0.0.1") from error
    return text


def can_speak_mcp() -> bool:
    """Whether what Gradio needs for MCP is installed, in a version that it knows."""
    try:
        import gradio.mcp
    except ImportError:
        return False
    return bool(gradio.mcp)


def main() -> int:
    """Build the page, serve it, wait for Ctrl-C. Exit status 2 where an option cannot be met."""
    options = parse()
    from etviz.errors import UsageError  # here, so that --help is instant
    from etviz.ui.service import Service

    try:
        service = Service(options.checkpoint, options.dataset, options.data_root)
    except UsageError as error:
        print(error, file=sys.stderr)
        return 2
    from etviz.ui.app import build, launch

    if options.mcp and not can_speak_mcp():
        print('--mcp needs a package that is missing or too new: pip install "gradio[mcp]".', file=sys.stderr)
        return 2
    blocks = build(service)
    try:
        url = launch(blocks, options.host, options.port, options.share, options.mcp)
    except OSError:
        ports = f"Port {options.port}" if options.port else "Every port from 7860 to 7959"
        print(f"{ports} on {options.host} is taken or not ours to bind: choose another with --port.", file=sys.stderr)
        return 2
    print(f"etviz is at {url} (Ctrl-C stops it)", flush=True)
    if options.mcp:
        print(f"MCP clients connect to {url.rstrip('/')}/gradio_api/mcp/", flush=True)
    blocks.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
