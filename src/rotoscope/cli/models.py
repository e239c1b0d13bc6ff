"""`rotoscope models`: what can be opened, and where its weights are."""

from __future__ import annotations

_WIDTH = 120  # of the table in a file or a pipe: nothing is cut


def models() -> None:
    """List the models: bundled ones by name, and the published networks that an authors' checkpoint opens."""
    from rich.console import Console
    from rich.table import Table

    from rotoscope.inference.loading import bundled, on_meta, parameters_of
    from rotoscope.models import SYSTEM_NAMES, system

    table = Table(title="models", caption="FILE: an authors' checkpoint, or what `rotoscope convert` makes of one")
    for column in ("name", "task", "parameters", "open with", "licence"):
        table.add_column(column, justify="right" if column == "parameters" else "left", no_wrap=column == "name")
    cards = bundled()
    for name, card in cards.items():
        task = system(card["system"]).task
        table.add_row(name, task, _millions(card["parameters"]), "its name: in the package", card["licence"])
    table.add_section()
    used = {(card["system"], card["network"]) for card in cards.values()}
    for name in SYSTEM_NAMES:
        chosen = system(name)
        for network in chosen.networks:
            if (name, network) not in used:
                count = _millions(parameters_of(on_meta(name, network)))
                table.add_row(f"{name}/{network}", chosen.task, count, "-m FILE", "the authors'")
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _WIDTH)
    console.print(table)


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"
