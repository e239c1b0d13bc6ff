"""What categories are called, in the order of their numbers, and which of COCO's mean which of YouTube-VIS's."""

from __future__ import annotations

from rotoscope.errors import OptionError

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
YTVIS2019 = (
    *("person", "giant_panda", "lizard", "parrot", "skateboard", "sedan", "ape", "dog", "snake", "monkey", "hand"),
    *("rabbit", "duck", "cat", "cow", "fish", "train", "horse", "turtle", "bear", "motorbike", "giraffe", "leopard"),
    *("fox", "deer", "owl", "surfboard", "airplane", "truck", "zebra", "tiger", "elephant", "snowboard", "boat"),
    *("shark", "mouse", "frog", "eagle", "earless_seal", "tennis_racket"),
)
YTVIS2021 = (
    *("airplane", "bear", "bird", "boat", "car", "cat", "cow", "deer", "dog", "duck", "earless_seal", "elephant"),
    *("fish", "flying_disc", "fox", "frog", "giant_panda", "giraffe", "horse", "leopard", "lizard", "monkey"),
    *("motorbike", "mouse", "parrot", "person", "rabbit", "shark", "skateboard", "snake", "snowboard", "squirrel"),
    *("surfboard", "tennis_racket", "tiger", "train", "truck", "turtle", "whale", "zebra"),
)
OVIS = (
    *("Person", "Bird", "Cat", "Dog", "Horse", "Sheep", "Cow", "Elephant", "Bear", "Zebra", "Giraffe", "Poultry"),
    *("Giant_panda", "Lizard", "Parrot", "Monkey", "Rabbit", "Tiger", "Fish", "Turtle", "Bicycle", "Motorcycle"),
    *("Airplane", "Boat", "Vehical"),  # spelt so in the data set
)
_NAMES = {"coco": COCO, "ytvis2019": YTVIS2019, "ytvis2021": YTVIS2021, "ovis": OVIS}
_BY_COUNT = {80: COCO, 40: YTVIS2019, 25: OVIS}


def names_of(which: str, count: int) -> tuple[str, ...]:
    """The names of a network's categories.

    Args:
        which: "coco", "ytvis2019", "ytvis2021", "ovis", or "auto", which goes by `count`; where it knows none, numbers
            from 1 are given.
        count: categories of the network.

    Raises:
        OptionError: the names are not as many as the categories.
    """
    if which == "auto":
        return _BY_COUNT.get(count) or tuple(str(number + 1) for number in range(count))
    names = _NAMES[which]
    if len(names) != count:
        raise OptionError(f"{which} has {len(names)} categories, the network has {count}; choose others")
    return names
