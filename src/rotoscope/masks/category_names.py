"""Names of the categories of instance data sets, in the order of their numbers from 1."""

from __future__ import annotations

from collections.abc import Mapping

from rotoscope.errors import OptionError


def _names(words: str) -> tuple[str, ...]:
    return tuple(words.split())


YOUTUBE_VIS_2019 = _names(
    "person giant_panda lizard parrot skateboard sedan ape dog snake monkey hand rabbit duck cat cow fish train horse "
    "turtle bear motorbike giraffe leopard fox deer owl surfboard airplane truck zebra tiger elephant snowboard boat "
    "shark mouse frog eagle earless_seal tennis_racket"
)
YOUTUBE_VIS_2021 = _names(
    "airplane bear bird boat car cat cow deer dog duck earless_seal elephant fish flying_disc fox frog giant_panda "
    "giraffe horse leopard lizard monkey motorbike mouse parrot person rabbit shark skateboard snake snowboard "
    "squirrel surfboard tennis_racket tiger train truck turtle whale zebra"
)
OVIS = _names(
    "Person Bird Cat Dog Horse Sheep Cow Elephant Bear Zebra Giraffe Poultry Giant_panda Lizard Parrot Monkey Rabbit "
    "Tiger Fish Turtle Bicycle Motorcycle Airplane Boat Vehicle"
)
KITTI_MOTS = ("car", "pedestrian")
MOVERS = ("person", "vehicle", "animal")  # groups of COCO's, for networks that saw few pictures
KINDS = (*MOVERS, "thing")
COCO = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee"),
    *("skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard"),
    *("tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple"),
    *("sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone"),
    *("microwave", "oven", "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear"),
    *("hair drier", "toothbrush"),
)
_UNDER = {
    "coco-80": COCO,
    "coco-youtube-vis": YOUTUBE_VIS_2019,
    "coco-ovis": OVIS,
    "coco-movers": MOVERS,
    "coco-kinds": KINDS,
    "visolo-2019": YOUTUBE_VIS_2019,
    "visolo-2021": YOUTUBE_VIS_2021,
}


def names_of(
    which: str, count: int, known: Mapping[str, tuple[str, ...]], by_count: Mapping[int, tuple[str, ...]]
) -> tuple[str, ...]:
    """The names of a network's categories.

    Args:
        which: a name of `known`, or "auto", which goes by `count`; where that is not known, numbers from 1 are given.
        count: categories of the network.
        known: what can be asked for.
        by_count: what "auto" means.

    Raises:
        OptionError: the names are not as many as the categories.
    """
    if which == "auto":
        found = by_count.get(count)
        return tuple(str(number + 1) for number in range(count)) if found is None else found
    names = known[which]
    if len(names) != count:
        raise OptionError(f"{which} has {len(names)} categories, the network has {count}; choose others")
    return names


def names_under(class_map: str) -> dict[int, str]:
    """Number to name of the categories that a map of `data.categories` leads to.

    Raises:
        OptionError: the categories of that map have no names.
    """
    if class_map not in _UNDER:
        raise OptionError(f"the categories of {class_map!r} have no names; choose one of {', '.join(_UNDER)}")
    return dict(enumerate(_UNDER[class_map], start=1))
