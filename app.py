"""Open the explorer: python app.py, then the address it prints."""

import argparse
import sys


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command-line options."""
    parser = argparse.ArgumentParser(description="Paint a mask over a picture; watch an Energy Transformer fill it in.")
    parser.add_argument("--checkpoint", default="et-cifar10", help="name under checkpoints/, or the path of a run")
    parser.add_argument("--dataset", default="cifar10", help="cifar10, cifar100, an .npz archive or a folder of images")
    parser.add_argument("--data-root", default=None, help="where CIFAR lies (default: ETVIZ_DATA, else data/)")
    parser.add_argument("--host", default="127.0.0.1", help="address to bind; 0.0.0.0 opens it to the network")
    parser.add_argument("--port", type=int, default=None, help="port to bind (default: the first free one from 7860)")
    parser.add_argument("--share", action="store_true", help="also make a public gradio.live link")
    return parser.parse_args(arguments)


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
    from etviz.ui.explorer import build, launch  # Gradio takes seconds to import: not to say that a name is wrong

    blocks = build(service)
    try:
        url = launch(blocks, options.host, options.port, options.share)
    except OSError:
        ports = f"Port {options.port}" if options.port else "Every port from 7860 to 7959"
        print(f"{ports} on {options.host} is taken or not ours to bind: choose another with --port.", file=sys.stderr)
        return 2
    print(f"etviz is at {url} (Ctrl-C stops it)", flush=True)
    blocks.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
