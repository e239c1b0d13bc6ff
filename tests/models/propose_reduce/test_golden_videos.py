"""Golden cases of whole videos: features, detection, propagation both ways, scores, reduction."""

import numpy as np
import pytest
import torch

from rotoscope.masks.run_length import decode
from rotoscope.models.propose_reduce.options import WholeVideoOptions, rules_of
from rotoscope.models.propose_reduce.propagate import SequenceBuilder, followed, found_in
from rotoscope.models.propose_reduce.result import reduced
from rotoscope.models.propose_reduce.sequences import choose_key_frames
from tests.models.propose_reduce.given import check, load, made, network_of, unpacked


@pytest.mark.parametrize("name", ["video", "video_soft"])
@torch.inference_mode()
def test_a_whole_video(name):
    case, expected = load(name)
    given, network, chosen = made(case), network_of(case), case["options"]
    count = len(given) - 1
    size = tuple(chosen["image_shape"])
    images = [0.8 * given["base"] + 0.2 * given[f"noise{number}"] for number in range(count)]
    maps = [network.encode_normalised(image, size) for image in images]
    options = WholeVideoOptions(
        detections=chosen["rcnn"]["max_per_img"],
        overlap=chosen["reduce"]["iou_thr"],
        key_frames=chosen["propose"]["key_num"],
        memory_every=chosen["propose"].get("mem_step", max(1, count // chosen["propose"].get("mem_num", 1))),
    )
    rules = rules_of(options, network.classes, size)
    keys = choose_key_frames(count, rules.key_frames)
    check("key_frames", case, keys, expected["key_frames"])
    sequences, found = [], []
    for number, key in enumerate(keys):
        masks = found_in(network, maps[key], options)
        found.append(len(masks))
        builder, parts = SequenceBuilder(network, key, len(masks)), [None] * count
        for frame, own in followed(network, maps.__getitem__, masks, key, count, options.memory_every, 64):
            builder.add(frame, maps[frame], own)
            parts[frame] = own[:, ::8, ::8]
        wanted = expected[f"prob_key{number}"]
        check(f"prob_key{number}", case, torch.stack(parts, dim=1).reshape(wanted.shape), wanted)
        sequences += builder.sequences()
    check("objects_per_key", case, found, expected["objects_per_key"])
    kept = reduced(sequences, count, rules, options)
    assert len(kept) == int(expected["kept_count"])
    wanted = expected["scores"]
    scores = np.stack([one.scores for _, one in kept])
    check("scores", case, scores if wanted.ndim == 2 else scores[:, 1:].max(axis=1), wanted)
    padded = tuple(chosen["padded_size"])
    empty = np.zeros(padded, bool)
    masks = np.stack([[decode(one.masks[f]) if f in one.masks else empty for f in range(count)] for one, _ in kept])
    check("masks", case, masks, unpacked(expected["masks"], masks.shape) > 0)
