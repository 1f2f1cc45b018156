"""Run the playground: `python app.py`, then open the address it prints."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_WAITING_EVENTS = 64


@dataclass(frozen=True)
class Hosting:
    """Where to listen; port None means the first free one from 7860."""

    host: str
    port: int | None


def read_hosting(environment: Mapping[str, str]) -> Hosting:
    """Read where to serve; the whole network must reach a Space."""
    fallback = "0.0.0.0" if environment.get("SPACE_ID") else "127.0.0.1"
    port = environment.get("GRADIO_SERVER_PORT", "")
    host = environment.get("GRADIO_SERVER_NAME") or fallback
    return Hosting(host, int(port) if port.isdigit() else None)


def parse_options(arguments: Sequence[str] | None, hosting: Hosting) -> argparse.Namespace:
    """Read the command line; what it leaves out comes from the hosting."""
    parser = argparse.ArgumentParser(description="A playground for RWKV language models.")
    parser.add_argument("--host", default=hosting.host, help="address to listen on: %(default)s")
    parser.add_argument("--port", type=int, default=hosting.port, help="first free from 7860")
    parser.add_argument("--model", type=Path, help="weights, a file or folder; the shipped one")
    parser.add_argument("--strategy", help='such as "cpu fp32", "cpu int8" or "cuda fp16"')
    parser.add_argument("--tokenizer", help='a file, "world" or "20B"; chosen for you')
    parser.add_argument("--state", type=Path, help="a tuned or saved state that texts begin from")
    parser.add_argument("--threads", type=int, help="CPU threads of the model; torch's choice")
    return parser.parse_args(arguments)


def serve(options: argparse.Namespace) -> None:
    """Load the model, say what was chosen and why, and serve until interrupted."""
    # Slow imports, kept from --help.
    import presets
    from rwkv_core.checkpoint import resolve_path
    from rwkv_core.engine import load_engine
    from ui import build_app
    from ui.theme import launch_look

    path = resolve_path(options.model or presets.default_model_path())
    with load_engine(path, options.strategy, options.tokenizer, options.state) as engine:
        print(f"{path.name}: {engine.model.parameters:,} parameters")
        for what, (value, reason) in engine.choices.items():
            print(f"  {what}: {value} ({reason})", flush=True)
        page = build_app(engine, "" if options.model else presets.DEFAULT_MODEL_NAME)
        page.queue(max_size=MAX_WAITING_EVENTS)
        page.launch(server_name=options.host, server_port=options.port, **launch_look())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse_options(arguments, read_hosting(os.environ))
    if options.threads is not None:
        # Read by torch when it is first imported.
        os.environ["OMP_NUM_THREADS"] = str(max(1, options.threads))
    from rwkv_core import RwkvError, explain_switches

    sys.stderr.writelines(f"app.py: {line}\n" for line in explain_switches(os.environ))
    try:
        serve(options)
    except RwkvError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
