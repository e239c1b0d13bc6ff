"""`rotoscope models`: what can be opened, and where its weights are."""

from __future__ import annotations


def models() -> None:
    """List the models: bundled ones by name, and the published networks that an authors' checkpoint opens."""
    from rich.console import Console
    from rich.table import Table

    from rotoscope.inference.loading import bundled, on_meta, parameters_of
    from rotoscope.models import SYSTEM_NAMES, system

    table = Table(title="models")
    for column in ("name", "task", "system", "parameters", "weights", "licence"):
        table.add_column(column, justify="right" if column == "parameters" else "left", overflow="fold")
    cards = bundled()
    for name, card in cards.items():
        task = system(card["system"]).task
        table.add_row(name, task, card["system"], _millions(card["parameters"]), "in the package", card["licence"])
    table.add_section()
    used = {(card["system"], card["network"]) for card in cards.values()}
    for name in SYSTEM_NAMES:
        chosen = system(name)
        for network in chosen.networks:
            if (name, network) not in used:
                count = _millions(parameters_of(on_meta(name, network)))
                row = (f"{name}/{network}", chosen.task, name, count, "authors' file: -m FILE", "the authors'")
                table.add_row(*row)
    Console().print(table)


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"
