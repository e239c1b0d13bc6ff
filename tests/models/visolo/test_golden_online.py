"""Golden cases of the official VISOLO online: network with memory, whole runs, post-processing, association, scores."""

import json

import numpy as np
import pytest
import torch

from rotoscope.masks import youtube_vis
from rotoscope.masks.run_length import encode
from rotoscope.models.visolo.association import Associator
from rotoscope.models.visolo.detection import candidate_cells, detect, matrix_decay, shared_pixels
from rotoscope.models.visolo.memory import Entry, GridMemory
from rotoscope.models.visolo.options import OnlineOptions
from rotoscope.models.visolo.session import enlarged
from rotoscope.models.visolo.tracker import Tracker
from rotoscope.models.visolo.votes import Votes
from rotoscope.ops.resize import resize_picture
from rotoscope.types import Track
from tests import golden
from tests.models.visolo.test_golden import SYSTEM, both_ways, cases, check, of, pixels_of


def unpacked(expected, name):
    shape = tuple(expected[f"{name}_shape"])
    return np.unpackbits(expected[f"{name}_bits"])[: np.prod(shape)].reshape(shape).astype(bool)


def close(case, found, expected):
    np.testing.assert_allclose(found, expected, rtol=case["tolerance"]["rtol"], atol=case["tolerance"]["atol"])
    return True


def few_differ(case, found, expected):
    assert found.shape == expected.shape
    assert (found != expected).mean() <= case["tolerance"]["mask_pixels_differing_at_most"]


@cases("online_network")
@both_ways
def test_network_with_memory(case, fast):
    module = of(case, fast)
    rows, columns = case["options"]["grid"]
    seen = {}
    parts = {"masks": module.feature, "kernels": module.kernel, "scores": module.category, "link": module.similarity}
    hooks = [
        part.register_forward_hook(lambda _, given, out, name=name: seen.update({name: out}))
        for name, part in parts.items()
    ]
    tracker = Tracker(module, OnlineOptions(grid=f"{rows}x{columns}", memory_every=1))
    found, before = {}, None
    for number, frame in enumerate(golden.inputs(case)["frames"]):
        tracker.step(pixels_of(frame[None], module)[0])
        query, reference = seen["link"]
        found[f"f{number}_masks"] = seen["masks"][:, :8]
        found[f"f{number}_kernels"] = seen["kernels"][:, :48]
        found[f"f{number}_scores"] = seen["scores"].sigmoid()
        if before is not None:
            found[f"f{number}_link"] = torch.sigmoid(before @ reference.mT)
        before = query
        assert tracker.memory.frames == list(range(number + 1))
    for hook in hooks:
        hook.remove()
    expected = golden.arrays(SYSTEM, case)
    check({**case, "outputs": expected}, {name: found[name].reshape(expected[name].shape) for name in found})


@cases("online_run")
@both_ways
def test_run(case, fast):
    module, chosen, expected = of(case, fast), case["options"], golden.arrays(SYSTEM, case)
    options = OnlineOptions(grid="x".join(map(str, chosen["grid"])), published=True)
    tracker, votes = Tracker(module, options), Votes()
    frames = golden.inputs(case)["frames"]
    size = (chosen["output_height"], chosen["output_width"])
    found, masks, verdicts, weights = [], np.zeros(tuple(expected["mask_shape"]), bool), {}, []
    for number, frame in enumerate(frames):
        one = tracker.step(frame / 255)
        found.append(one)
        weights.append(torch.ones(len(expected["cell_weight"][0])) if one.weight is None else one.weight)
        for track_id, mask, vector in zip(one.ids, one.detections.masks, one.detections.vectors, strict=True):
            verdicts[track_id] = votes.add(track_id, vector)
            masks[track_id - 1, number] = enlarged(mask, size)
    assert [len(one.ids) for one in found] == expected["detections_per_frame"].tolist()
    assert [cell for one in found for cell in one.detections.cells.tolist()] == expected["det_cell"].tolist()
    assert [label for one in found for label in one.detections.labels.tolist()] == expected["det_label"].tolist()
    assert [track_id - 1 for one in found for track_id in one.ids] == expected["det_instance"].tolist()
    assert close(case, [score for one in found for score in one.detections.scores.tolist()], expected["det_score"])
    assert close(case, torch.stack(weights), expected["cell_weight"])
    in_order = [verdicts[track_id] for track_id in sorted(verdicts)]
    assert [verdict.label for verdict in in_order] == expected["labels"].tolist()
    assert close(case, [verdict.score for verdict in in_order], expected["scores"])
    few_differ(case, masks, unpacked(expected, "mask"))


@cases("frame_postprocess")
def test_detections(case):
    given, chosen = golden.arrays(SYSTEM, case), case["options"]
    own = {name: chosen[name] for name in ("nms_pre", "nms_sigma")}
    options = OnlineOptions(decay=chosen["nms_kernel"], **own, published=True)
    vectors = torch.from_numpy(given["probabilities"]).flatten(1).T
    weight = torch.from_numpy(given["cell_weight"]).flatten() if "cell_weight" in given else None
    features, kernels = (torch.from_numpy(given[name]) for name in ("features", "kernels"))
    size = (4 * features.shape[1], 4 * features.shape[2])
    chosen, scores = candidate_cells(vectors, weight, options)
    logits = torch.einsum("khw,kn->nhw", features, kernels.flatten(1)[:, chosen])
    found = detect(vectors, chosen, scores, logits, size, options)
    assert (len(found) == 0) == bool(given["result_is_none"])
    if len(found):
        assert found.cells.tolist() == given["cells"].tolist()
        assert found.labels.tolist() == given["labels"].tolist()
        assert close(case, found.scores, given["scores"])
        assert close(case, found.vectors, given["class_scores"])
        few_differ(case, found.masks.numpy(), unpacked(given, "mask"))


@cases("matrix_nms")
def test_matrix_nms(case):
    given = golden.arrays(SYSTEM, case)
    masks = torch.from_numpy(unpacked(given, "mask"))
    areas, labels = masks.sum(dim=(1, 2)).float(), torch.from_numpy(given["labels"])
    decay = matrix_decay(shared_pixels(masks), areas, labels, case["options"]["kernel"], case["options"]["sigma"])
    assert close(case, torch.from_numpy(given["scores"]) * decay, given["updated"])


@cases("score_reweighting")
@torch.inference_mode()
def test_score_reweighting(case):
    module, given = of(case), golden.inputs(case)
    query = module.embed(given["current_key"])[0][0]

    def best(name):
        reference = module.embed(given[name])[1][0]
        return torch.sigmoid(query @ reference.T).amax(dim=1)

    previous, kept = best("previous_key"), best("kept_key")
    found = {"previous_only": previous, "two_references": (previous + kept) / 2, "kept_only": kept}
    check(case, {name: value[None, None] for name, value in found.items()})


@cases("association")
def test_association(case):
    given = golden.arrays(SYSTEM, case)
    frames, _, size, _ = given["similarity"].shape
    logits = torch.from_numpy(given["similarity"]).double().logit()
    every = torch.eye(frames * size, dtype=torch.float64)  # an embedding that finds the row of its frame and cell
    associator, votes, memory = Associator(case["options"]["tracking_thr"]), Votes(), GridMemory()
    ends = np.cumsum(given["detections_per_frame"])
    found, verdicts, kept = [], {}, []
    for frame, end in enumerate(ends):
        assert memory.frames == [int(one) for one in given["memory_frames"][frame] if one >= 0]
        if frame:
            place = memory.kept_before(frame - 1)
            kept.append([frame - 1, frame, -1 if place is None else memory.frames[place]])
        memory.put(Entry(frame, torch.zeros(size, 1), torch.zeros(size, 1)))
        part = slice(end - given["detections_per_frame"][frame], end)
        chosen = torch.from_numpy(given["det_cell"][part]).long()
        references = logits[:, frame].flatten(0, 1)[:, chosen].T  # (D, frames * size)
        ids = associator.step(every[frame * size + chosen], references)
        for track_id, vector in zip(ids, torch.from_numpy(given["det_class_scores"][part]), strict=True):
            verdicts[track_id] = votes.add(track_id, vector)
        votes.keep(associator.known)
        found += ids
    assert [track_id - 1 for track_id in found] == given["det_instance"].tolist()
    assert kept == given["weight_frames"].tolist()
    assert [verdicts[one].label for one in sorted(verdicts)] == given["labels"].tolist()
    assert close(case, [verdicts[one].score for one in sorted(verdicts)], given["scores"])


@cases("video_score")
def test_video_score(case):
    given = golden.arrays(SYSTEM, case)
    votes, verdicts = Votes(), {}
    for track_id, vectors in enumerate(torch.from_numpy(given["class_scores"])):
        for vector in vectors[vectors.any(dim=1)]:
            verdicts[track_id] = votes.add(track_id, vector)
    assert [verdicts[one].label for one in sorted(verdicts)] == given["labels"].tolist()
    assert close(case, [verdicts[one].score for one in sorted(verdicts)], given["scores"])


@cases("final_output")
def test_final_output(case, tmp_path):
    given, chosen = golden.arrays(SYSTEM, case), case["options"]
    masks = torch.from_numpy(unpacked(given, "mask"))
    size = (chosen["output_height"], chosen["output_width"])
    large = np.stack([[enlarged(mask, size) for mask in track] for track in masks])
    assert np.array_equal(large, unpacked(given, "out"))
    tracks = [
        Track(
            number, str(label), score, {frame: encode(mask) for frame, mask in enumerate(large[number]) if mask.any()}
        )
        for number, (label, score) in enumerate(zip(chosen["labels"], chosen["scores"], strict=True))
    ]
    categories = {str(label): label for label in chosen["labels"]}
    path = tmp_path / "results.json"
    youtube_vis.write_youtube_vis(
        path, youtube_vis.video_entries(chosen["video_id"], tracks, masks.shape[1], categories)
    )
    found, expected = json.loads(path.read_text()), json.loads(str(given["json_text"]))
    for one, other in zip(found, expected, strict=True):
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=1e-6)
        assert one == other


@cases("test_resize")
def test_resize(case):
    spec = case["inputs"]["image"]
    image = golden.recipe.random_input(spec["name"], spec["shape"], spec["low"], spec["high"]).astype(np.uint8)
    found = resize_picture(image, tuple(case["options"]["size"]))
    expected = golden.arrays(SYSTEM, case)["resized"]
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= case["tolerance"]["atol"]
