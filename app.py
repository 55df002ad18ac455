"""Start the explorer: run `python app.py`, then open the address that it prints."""

import argparse
import socket
import sys


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse the command-line options."""
    parser = argparse.ArgumentParser(
        description="Paint a mask over a picture, and watch an Energy Transformer fill it in."
    )
    parser.add_argument("--checkpoint", default="et-cifar10", help="a name under checkpoints/, or the path of a run")
    parser.add_argument("--dataset", default="cifar10", help="cifar10, cifar100, a .npz archive or a folder of images")
    parser.add_argument("--data-root", default=None, help="where CIFAR is (default: ETVIZ_DATA, or else data/)")
    parser.add_argument("--host", type=own_address, default="127.0.0.1", help="0.0.0.0 opens it to the network")
    parser.add_argument("--port", type=port_number, default=None, help="default: the first free one from 7860")
    parser.add_argument("--share", action="store_true", help="also create a public gradio.live link")
    parser.add_argument("--mcp", action="store_true", help="also offer the endpoints as MCP tools")
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


def can_speak_mcp() -> bool:
    """Whether the package that Gradio needs for MCP is installed, in a version that Gradio supports."""
    try:
        import gradio.mcp
    except ImportError:
        return False
    return bool(gradio.mcp)


def main() -> int:
    """Build the page, serve it and wait for Ctrl-C. Returns the exit status: 2 where an option cannot be met."""
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
        print(f"{ports} on {options.host} is taken or not permitted: choose another with --port.", file=sys.stderr)
        return 2
    print(f"etviz is at {url} (Ctrl-C stops it)", flush=True)
    if options.mcp:
        print(f"MCP clients connect to {url.rstrip('/')}/gradio_api/mcp/", flush=True)
    blocks.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
