"""The Models tab's tables as HTML: what was found, which model fits, and one model part by part."""

from collections.abc import Iterable
from html import escape
from typing import NamedTuple

from presets.catalogue import CatalogueModel, catalogue
from presets.words import speak, translated
from rwkv_core.config import Choice
from rwkv_core.downloads import Progress
from rwkv_core.machine import Machine
from rwkv_core.memory import (
    GB,
    WELL_KNOWN_FP16_GB,
    MemoryPlan,
    Verdict,
    gigabytes,
    plan_memory,
)
from rwkv_core.proposals import Proposal
from ui.components import bytes_text
from ui.offers import Offer

_PARTS = ("weights", "state", "workspace", "runtime")


def machine_html(machine: Machine, kernel: Choice, language: str) -> str:
    """Say what was found, and how."""
    memory = speak(language, "models.unknown")
    if machine.memory_bytes and machine.free_bytes:
        memory = speak(
            language,
            "models.free",
            free=gigabytes(machine.free_bytes),
            total=gigabytes(machine.memory_bytes),
        )
    facts = {
        "cpu": machine.cpu,
        "cores": machine.cores,
        "instructions": machine.instructions,
        "memory": Choice(memory, ""),
        "gpu": machine.gpu,
        "kernel": kernel,
    }
    rows = "".join(
        f"<div><dt>{escape(speak(language, f'models.{key}'))}</dt>"
        f"<dd><b>{escape(translated(language, value))}</b> {escape(translated(language, reason))}</dd></div>"
        for key, (value, reason) in facts.items()
    )
    title = escape(speak(language, "models.machine"))
    return f'<section class="models-machine"><h2>{title}</h2><dl>{rows}</dl></section>'


def verdict_html(verdict: Verdict, language: str) -> str:
    """A word and its colour."""
    word = escape(speak(language, f"models.{verdict.answer}"))
    return f'<span class="verdict is-{verdict.answer}">{word}</span>'


class Row(NamedTuple):
    """One model of the table.

    Attributes:
        offer: the model.
        nbytes: of its file; 0 where that is not known.
        best: its best strategy; None where that is not known.
        mark: what is so on this machine; shown to the owner only.
    """

    offer: Offer
    nbytes: int
    best: Proposal | None
    mark: str


def table_html(rows: Iterable[Row], chosen: str, language: str) -> str:
    """Every model with its best strategy and the verdict; its name chooses it.

    Args:
        rows: in the order they are shown.
        chosen: key of the one that is looked at.
        language: the visitor's.
    """
    columns = ("model", "file", "need", "strategy", "verdict")
    head = "".join(f"<th>{escape(speak(language, f'models.column_{c}'))}</th>" for c in columns)
    written, family = [], ""
    for row in rows:
        model = row.offer.entry
        group = model.family if model else speak(language, _group_of(row.offer))
        if group != family:
            family = group
            about = translated(language, model.about) if model else ""
            written.append(
                f'<tr class="family"><th colspan="5">{escape(translated(language, family))} '
                f"<span>{escape(about)}</span></th></tr>"
            )
        written.append(_row(row, row.offer.key == chosen, language))
    return (
        f'<div class="models-table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(written)}</tbody></table></div>"
    )


def _group_of(offer: Offer) -> str:
    return "models.group_found" if offer.repository else "models.group_here"


def _row(row: Row, is_chosen: bool, language: str) -> str:
    offer = row.offer
    name = escape(offer.entry.name if offer.entry else offer.title)
    mark = f'<span class="mark">{escape(row.mark)}</span>' if row.mark else ""
    cells = "<td></td><td></td><td></td>"
    if (best := row.best) is not None:
        cells = (
            f"<td>{gigabytes(best.verdict.needed)}</td>"
            f'<td title="{escape(translated(language, best.strategy.reason))}"><code>{escape(best.strategy.value)}'
            f"</code></td><td>{verdict_html(best.verdict, language)}</td>"
        )
    current = ' aria-current="true"' if is_chosen else ""
    size = bytes_text(row.nbytes) if row.nbytes else ""
    return (
        f'<tr{current}><td><button type="button" data-model="{escape(offer.key)}">{name}</button>'
        f"{mark}</td><td>{size}</td>{cells}</tr>"
    )


def fetching_html(title: str, progress: Progress | None, language: str) -> str:
    """How far a download is: bytes, share, speed and time left."""
    if progress is None:
        text = speak(language, "models.asking", name=title)
        return f'<p class="status" role="status">{escape(text)}</p>'
    share = 100 * progress.done / max(1, progress.total)
    left = (progress.total - progress.done) / max(1.0, progress.bytes_per_s)
    text = speak(
        language,
        f"models.{progress.phase}",
        name=title,
        done=bytes_text(progress.done),
        total=bytes_text(progress.total),
        share=f"{share:.0f}",
        speed=bytes_text(int(progress.bytes_per_s)),
        left=time_text(left),
    )
    if progress.phase == "fetching" and progress.resumed:
        text += speak(language, "models.resumed", bytes=bytes_text(progress.resumed))
    return (
        f'<div class="models-progress"><progress max="{progress.total}" value="{progress.done}" '
        f'aria-label="{escape(title)}"></progress><p class="status">{escape(text)}</p></div>'
    )


def time_text(seconds: float) -> str:
    """Write a time that is left: "40 s", "12 min", "3.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def judged_html(verdict: Verdict, reason: str, language: str) -> str:
    """Whether a plan fits, with both numbers and the reason for the strategy."""
    needs = speak(
        language, "models.of", needed=f"<b>{gigabytes(verdict.needed)}</b>",
        room=gigabytes(verdict.available), device=escape(verdict.device),
    )  # fmt: skip
    why = f": {escape(translated(language, reason))}" if reason else ""
    return f'<p class="models-judged">{verdict_html(verdict, language)} · {needs}{why}.</p>'


def plan_html(plan: MemoryPlan, language: str) -> str:
    """One model under one strategy: bytes by device and part, and a strip of its layers."""
    devices = list(plan.needs)
    head = "".join(f"<th>{escape(device)}</th>" for device in devices)
    rows = ""
    for part in _PARTS:
        cells = "".join(f"<td>{bytes_text(getattr(plan.needs[d], part))}</td>" for d in devices)
        rows += f"<tr><th>{escape(speak(language, f'models.part_{part}'))}</th>{cells}</tr>"
    totals = "".join(f"<td><b>{gigabytes(plan.needs[d].total)}</b></td>" for d in devices)
    rows += f"<tr><th>{escape(speak(language, 'models.part_total'))}</th>{totals}</tr>"
    return (
        f'<section class="models-plan"><table><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table>{_strip(plan, language)}</section>"
    )


def _strip(plan: MemoryPlan, language: str) -> str:
    cells = "".join(
        f'<span style="flex:{count}" class="run{number % 4}" title="{escape(text)}">'
        f"<b>{count}</b> {escape(text)}</span>"
        for number, (text, count) in enumerate(plan.strip)
    )
    title, note = (speak(language, f"models.{key}") for key in ("layers", "head"))
    return (
        f'<h3>{escape(title)}</h3><div class="models-strip" role="img" '
        f'aria-label="{escape(plan.placement.describe(plan.config.n_layer))}">{cells}</div>'
        f'<p class="models-note">{escape(note)}</p>'
    )


def about_html(model: CatalogueModel, strategy: str, language: str, *, has_commands: bool) -> str:
    """Where a model comes from, and for those who cannot use buttons the commands that run it."""
    facts = [
        f"<code>{escape(model.repository)}/{escape(model.file)}</code>",
        escape(bytes_text(model.bytes_to_fetch)),
        escape(model.licence),
        f"{model.sizes.layers} × {model.sizes.width}",
        escape(speak(language, "models.parameters", count=f"{model.inventory.parameters:,}")),
    ]
    if model.context:
        facts.append(escape(speak(language, "models.context", tokens=f"{model.context:,}")))
    facts += [f"sha256 <code>{model.sha256}</code>"] if model.sha256 else []
    fetch = f"python -m rwkv_core.downloads {model.repository} {model.file}"
    fetch += f" --sha256 {model.sha256}" if model.sha256 else ""
    start = f'python app.py --model PATH --strategy "{strategy}"'
    run = escape(speak(language, "models.run"))
    commands = f"<p>{run}</p><pre>{escape(fetch)}\n{escape(start)}</pre>" if has_commands else ""
    return (
        f'<section class="models-about"><h2>{escape(translated(language, model.title))}</h2>'
        f"<ul>{''.join(f'<li>{fact}</li>' for fact in facts)}</ul>"
        f"{commands}</section>"
    )


def known_html(language: str) -> str:
    """The well-known fp16 figures beside ours, with the difference explained."""
    rows = ""
    for name, theirs in WELL_KNOWN_FP16_GB.items():
        model = next(m for m in catalogue() if m.title == f"RWKV-4 Pile {name}")
        ours = plan_memory(model.inventory, "cuda fp16").needs["cuda"].total
        rows += f"<tr><th>{name}</th><td>{theirs} GB</td><td>{ours / GB:.1f} GB</td></tr>"
    head = "".join(
        f"<th>{escape(speak(language, f'models.known_{key}'))}</th>"
        for key in ("model", "theirs", "ours")
    )
    return (
        f'<section class="models-known"><p>{escape(speak(language, "models.known"))}</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>"
    )
