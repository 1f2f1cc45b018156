"""Run the playground: `python app.py`, then open the address it prints."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial

from server.options import Hosting, defaults_for, parse_options, read_hosting, reads_drafts


def serve(options: argparse.Namespace, hosting: Hosting) -> None:
    """Load the model, say what was chosen and why, and serve until stopped."""
    # Slow imports, kept from --help.
    import presets
    from presets.limits import read_limits
    from rwkv_core.checkpoint import resolve_path
    from rwkv_core.engine import load_engine
    from server.service import Options, Service
    from ui import build_app
    from ui.lean_sessions import make_sessions_lean
    from ui.theme import launch_look

    limits = read_limits(options.limits)
    path = resolve_path(options.model or presets.default_model_path())
    files = (path, options.strategy, options.tokenizer, options.state)
    with load_engine(*files, limits=limits.engine) as engine:
        print(f"{path.name}: {engine.model.parameters:,} parameters")
        for what, (value, reason) in engine.choices.items():
            print(f"  {what}: {value} ({reason})", flush=True)
        name = "" if options.model else presets.DEFAULT_MODEL_NAME
        chosen = Options(
            api=options.api,
            api_key=options.api_key,
            mcp=options.mcp,
            origins=tuple(options.origin),
            space=hosting.space,
            metrics=options.metrics,
            write_log=partial(print, file=sys.stderr, flush=True) if options.log_requests else None,
        )
        service = Service(engine, name or engine.model.name, limits, chosen)
        page = build_app(engine, name, may_read_ahead=reads_drafts(options, hosting))
        page.queue(max_size=limits.requests.events)
        page.launch(
            server_name=options.host,
            server_port=options.port,
            prevent_thread_lock=True,
            **launch_look() | service.launch_arguments(),
        )
        make_sessions_lean(page)
        service.wait_until_stopped()
        page.close(verbose=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    from rwkv_core import RwkvError, explain_switches

    try:
        hosting = read_hosting(os.environ)
        options = parse_options(arguments, hosting)
        for name, value in defaults_for(hosting).items():
            os.environ.setdefault(name, value)
        if options.threads is not None:
            # Read by torch when it is first imported.
            os.environ["OMP_NUM_THREADS"] = str(max(1, options.threads))
        sys.stderr.writelines(f"app.py: {line}\n" for line in explain_switches(os.environ))
        serve(options, hosting)
    except RwkvError as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
