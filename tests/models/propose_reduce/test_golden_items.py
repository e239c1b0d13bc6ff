"""Golden cases of the official Seq Mask R-CNN's training items: whole frames, boxes and masks, objects that overlap."""

import numpy as np
import pytest
import torch

from rotoscope.data.batches import made as batch_of
from rotoscope.data.clips import CategorisedDraft
from rotoscope.data.fitted import FittedFrames
from rotoscope.models.propose_reduce.training import pair_of, prepared
from tests.models.propose_reduce.given import check, load, made, network_of, unpacked


def drafted(case, expected):
    options, inputs = case["options"], case["inputs"]
    frames = (made(case)["u"] * 256).floor().to(torch.uint8).numpy()[..., ::-1]  # theirs are BGR
    masks = unpacked(expected["in_masks"], (len(inputs["object_ids"]), *frames.shape[:3])).astype(bool)
    chosen = [options["ref_frame"], options["frame"]]
    own = [
        {number: masks[place, frame] for place, number in enumerate(inputs["object_ids"]) if masks[place, frame].any()}
        for frame in chosen
    ]
    cutting = FittedFrames((options["target"][1], options["target"][0]), flip=float(options["flip"]))
    draft = cutting.draft_of(frames[chosen], own, np.random.default_rng(0))
    return CategorisedDraft(draft, dict(zip(inputs["object_ids"], inputs["categories"], strict=True)))


@pytest.mark.parametrize("name", ["training_item", "training_item_flip"])
def test_an_item(name):
    case, expected = load(name)
    network = network_of(load("train_losses")[0])
    batch = batch_of([drafted(case, expected)])
    reference, frame = (prepared(network, clip, batch)[0] for clip in batch.clips.unbind(2))
    (objects,), (table,) = batch.objects, batch.categories
    padded = frame.shape[1:]
    pair = pair_of(objects, table, network.classes, 5, padded, np.random.default_rng(0))

    check("image_shape", case, objects.size, expected["image_shape"])
    check("padded_shape", case, padded, expected["padded_shape"])
    check("image_sub", case, frame[:, ::8, ::8], expected["image_sub"])
    check("ref_image_sub", case, reference[:, ::8, ::8], expected["ref_image_sub"])
    check("gt_bboxes", case, pair.current.boxes, expected["gt_bboxes"])
    check("gt_labels", case, pair.current.labels + 1, expected["gt_labels"])
    check("prop_ref_bboxes", case, pair.boxes, expected["prop_ref_bboxes"])
    check("prop_ref_labels", case, pair.labels + 1, expected["prop_ref_labels"])
    there = objects.annotated[0]
    check("ref_bboxes", case, objects.boxes[0][there], expected["ref_bboxes"])
    check("ref_labels", case, table[objects.ids[there]], expected["ref_labels"])
    check("gt_masks", case, pair.current.masks, unpacked(expected["gt_masks"], pair.current.masks.shape))
    before = torch.zeros_like(pair.current.masks)
    before[:, : objects.size[0], : objects.size[1]] = objects.masks[0]
    check("ref_masks", case, before, unpacked(expected["ref_masks"], before.shape))
    # Their correspondences are places in the other list, from 1 on; ours are equal ids.
    before, own = (objects.ids[there].tolist() for there in objects.annotated)
    check("gt_pids", case, [1 + before.index(number) for number in own], expected["gt_pids"])
    check("ref_gt_pids", case, [1 + own.index(number) for number in before], expected["ref_gt_pids"])
    followed = [number for number in before if objects.masks[1][objects.ids == number].any()]
    check("prop_gt_pids", case, [1 + own.index(number) for number in followed], expected["prop_gt_pids"])
