"""The Models tab's tables as HTML: what was found, which model fits, and one model part by part."""

from collections.abc import Mapping
from html import escape

from presets.catalogue import CatalogueModel, catalogue
from presets.words import speak
from rwkv_core.config import Choice
from rwkv_core.machine import Machine
from rwkv_core.memory import (
    GB,
    WELL_KNOWN_FP16_GB,
    MemoryPlan,
    Proposal,
    Verdict,
    gigabytes,
    plan_memory,
    propose,
)
from ui.components import bytes_text

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
        f"<dd><b>{escape(value)}</b> {escape(reason)}</dd></div>"
        for key, (value, reason) in facts.items()
    )
    title = escape(speak(language, "models.machine"))
    return f'<section class="models-machine"><h3>{title}</h3><dl>{rows}</dl></section>'


def verdict_html(verdict: Verdict, language: str) -> str:
    """A word and its colour."""
    word = escape(speak(language, f"models.{verdict.answer}"))
    return f'<span class="verdict is-{verdict.answer}">{word}</span>'


def table_html(available: Mapping[str, int], sessions: int, language: str) -> str:
    """Every model of the catalogue with its best strategy and the verdict."""
    columns = ("model", "file", "need", "strategy", "verdict")
    head = "".join(f"<th>{escape(speak(language, f'models.column_{c}'))}</th>" for c in columns)
    rows, family = [], ""
    for model in catalogue():
        if model.family != family:
            family = model.family
            rows.append(
                f'<tr class="family"><th colspan="5">{escape(family)} '
                f"<span>{escape(model.about)}</span></th></tr>"
            )
        found = propose(model.inventory, available, sessions=sessions)
        rows.append(_row(model, found, language))
    return (
        f'<div class="models-table"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _row(model: CatalogueModel, found: Proposal, language: str) -> str:
    verdict = found.verdict
    return (
        f"<tr><td><b>{escape(model.name)}</b></td><td>{bytes_text(model.bytes_to_fetch)}</td>"
        f"<td>{gigabytes(verdict.needed)}</td>"
        f'<td title="{escape(found.strategy.reason)}"><code>{escape(found.strategy.value)}</code>'
        f"</td><td>{verdict_html(verdict, language)}</td></tr>"
    )


def plan_html(plan: MemoryPlan, verdict: Verdict, reason: str, language: str) -> str:
    """One model under one strategy: bytes by device and part, and a strip of its layers."""
    devices = list(plan.needs)
    head = "".join(f"<th>{escape(device)}</th>" for device in devices)
    rows = ""
    for part in _PARTS:
        cells = "".join(f"<td>{bytes_text(getattr(plan.needs[d], part))}</td>" for d in devices)
        rows += f"<tr><th>{escape(speak(language, f'models.part_{part}'))}</th>{cells}</tr>"
    totals = "".join(f"<td><b>{gigabytes(plan.needs[d].total)}</b></td>" for d in devices)
    rows += f"<tr><th>{escape(speak(language, 'models.part_total'))}</th>{totals}</tr>"
    room = speak(language, "models.of", room=gigabytes(verdict.available))
    return (
        f'<section class="models-plan"><p>{verdict_html(verdict, language)} '
        f"<b>{gigabytes(verdict.needed)}</b> {escape(verdict.device)} {escape(room)}"
        f"{f': {escape(reason)}' if reason else ''}.</p>"
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{_strip(plan, language)}</section>"
    )


def _strip(plan: MemoryPlan, language: str) -> str:
    cells = "".join(
        f'<span style="flex:{count}" class="run{number % 4}" title="{escape(text)}">'
        f"<b>{count}</b> {escape(text)}</span>"
        for number, (text, count) in enumerate(plan.strip)
    )
    title, note = (speak(language, f"models.{key}") for key in ("layers", "head"))
    return (
        f'<h4>{escape(title)}</h4><div class="models-strip" role="img" '
        f'aria-label="{escape(plan.placement.describe(plan.config.n_layer))}">{cells}</div>'
        f'<p class="models-note">{escape(note)}</p>'
    )


def about_html(model: CatalogueModel, strategy: str, language: str) -> str:
    """Where a model comes from, and the command that runs it."""
    facts = [
        f"<code>{escape(model.repository)}/{escape(model.file)}</code>",
        escape(bytes_text(model.bytes_to_fetch)),
        escape(model.licence),
        f"{model.sizes.layers} × {model.sizes.width}",
        escape(f"{model.inventory.parameters:,} parameters"),
    ]
    facts += [f"context {model.context:,}"] if model.context else []
    facts += [f"sha256 <code>{model.sha256}</code>"] if model.sha256 else []
    fetch = f"python -m rwkv_core.downloads {model.repository} {model.file}"
    fetch += f" --sha256 {model.sha256}" if model.sha256 else ""
    start = f'python app.py --model PATH --strategy "{strategy}"'
    run = escape(speak(language, "models.run"))
    return (
        f'<section class="models-about"><h3>{escape(model.title)}</h3>'
        f"<ul>{''.join(f'<li>{fact}</li>' for fact in facts)}</ul>"
        f"<p>{run}</p><pre>{escape(fetch)}\n{escape(start)}</pre></section>"
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
