"""What is wrong with files that are good on their own: sizes that differ, and masks that say nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from rotoscope.data.checking.listing import Unit
from rotoscope.data.checking.problems import Problem, counted, error, size_words, warning
from rotoscope.data.checking.reading import Facts, MaskFacts


def judge(unit: Unit, facts: Sequence[Facts]) -> Iterator[Problem]:
    """Compare what the files of a unit say; `facts` has an entry for each of its pairs."""
    if unit.video:
        yield from _sizes_within(unit, facts)
    yield from _sizes_expected(unit, facts)
    masks = [
        (mask, fact.mask)
        for (_, mask), fact in zip(unit.pairs, facts, strict=True)
        if mask is not None and fact.mask is not None
    ]
    if masks:
        yield from _contents(unit, masks)


def _sizes_within(unit: Unit, facts: Sequence[Facts]) -> Iterator[Problem]:
    sizes = Counter(fact.size for fact in facts if fact.size is not None)
    if len(sizes) < 2:
        return
    usual, number = sizes.most_common(1)[0]
    for (picture, _), fact in zip(unit.pairs, facts, strict=True):
        if fact.size is not None and fact.size != usual:
            others = f"{number} of {counted(len(unit.pairs), 'frame')} of {unit.name}"
            yield error(
                picture,
                f"is {size_words(fact.size)}, {others} are {size_words(usual)} (width x height); the frames of a "
                "sequence must have one size",
            )


def _sizes_expected(unit: Unit, facts: Sequence[Facts]) -> Iterator[Problem]:
    for (picture, _), fact in zip(unit.pairs, facts, strict=True):
        wanted = unit.sizes.get(picture)
        if wanted is not None and fact.size is not None and fact.size != wanted:
            yield error(
                picture,
                f"is {size_words(fact.size)}, {unit.name} says {size_words(wanted)} (width x height); its outlines are "
                "of that size",
            )


def _contents(unit: Unit, masks: Sequence[tuple[Path, MaskFacts]]) -> Iterator[Problem]:
    folder = masks[0][0].parent
    whose = "" if folder.name == unit.name else f"{unit.name}: "  # ViSal has the masks of all sequences in one folder
    empty = [path for path, mask in masks if not mask.ids]
    if len(empty) == len(masks):
        words = "its mask is empty" if len(masks) == 1 else f"all its {len(masks):,} masks are empty"
        yield warning(folder, f"{whose}{words}, nothing but background (0)")
    elif empty and not unit.video:
        words = f"{len(empty):,} of {counted(len(masks), 'mask')}" + (" is empty" if len(empty) == 1 else " are empty")
        yield warning(folder, f"{words}, nothing but background (0), the first is {empty[0].name}")
    if not any(mask.has_background for _, mask in masks):
        yield warning(
            folder,
            f"{whose}no mask has a pixel of background; background must be 0, is it another number?",
        )
