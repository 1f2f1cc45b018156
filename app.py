"""Run the playground: `python app.py`, then open the address it prints."""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import closing

from server.options import Hosting, defaults_for, parse_options, read_hosting, require_free_port
from server.quick_imports import quick_imports


def serve(options: argparse.Namespace, hosting: Hosting) -> None:
    """Load the model, say what was chosen and why, and serve until stopped."""
    # Slow imports, kept from --help.
    with quick_imports():
        from gradio import Blocks

        from presets.limits import read_limits
        from rwkv_core.switching import Running
        from server.options import reads_drafts, who_may_switch
        from server.service import Options, Service
        from ui import build_app
        from ui.lean_sessions import make_sessions_lean
        from ui.models_desk import open_desk
        from ui.replacing import make_replaceable, replace_page
        from ui.theme import launch_look

    limits = read_limits(options.limits)
    desk = open_desk(options, who_may_switch(options, hosting), limits)
    # Not kept in a variable: the first model may be replaced, and its memory is given back then.
    print(desk.switch.now.describe(), flush=True)
    service = Service(desk.engine, desk.switch.now.name, limits, Options.of(options, hosting))

    def build(running: Running) -> Blocks:
        ahead = reads_drafts(options, hosting)
        return build_app(running.engine, running.source.name, desk=desk, may_read_ahead=ahead)

    with closing(desk):
        page = build(desk.switch.now)
        make_replaceable(page)
        look = launch_look() | service.launch_arguments()
        where = {"server_name": options.host, "server_port": options.port}
        page.launch(prevent_thread_lock=True, root_path=options.root_path, **where, **look)
        make_sessions_lean(page)

        def change(new: Running) -> None:
            replace_page(page, build(new))
            service.change(new.engine, new.name)
            page.max_file_size = service.upload_bytes

        desk.switch.on_change = change
        service.wait_until_stopped()
        page.close(verbose=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    from rwkv_core import RwkvError, explain_switches

    try:
        hosting = read_hosting(os.environ)
        options = parse_options(arguments, hosting)
        require_free_port(options.host, options.port)
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
