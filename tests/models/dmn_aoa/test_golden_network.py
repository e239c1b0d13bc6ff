"""Golden cases of the whole network: RefineNet, and one frame with proposals, alignment forward and mutual."""

from functools import lru_cache

import numpy as np
import pytest
import torch

from rotoscope.backbones.space_time_memory import other_objects
from rotoscope.inference.loading import from_published, report_of
from rotoscope.models.dmn_aoa.network import MatchRule, Proposals, Remembered
from rotoscope.models.dmn_aoa.template import Views
from rotoscope.ops.soft_aggregation import soft_aggregation
from tests import golden

SYSTEM = "dmn-aoa"


def state():
    """The deterministic weights; temperature and weights of overlaps are as at the start."""
    found = golden.state(SYSTEM, "dmn_aoa")
    found["Matcher.log_kappa"] = np.log(np.float32(0.05))
    found |= {f"Matcher.lambda_logit.{name}": np.float32(np.log(3 / 7)) for name in ("default", "davis", "ytvos")}
    return {key: np.asarray(value, np.float32) if "Matcher.l" in key else value for key, value in found.items()}


@lru_cache(maxsize=1)
def network():
    return from_published(SYSTEM, state())


def cases(kind):
    return pytest.mark.parametrize("case", golden.cases(SYSTEM, kind), ids=lambda case: case["name"])


def check(case, found):
    expected = golden.arrays(SYSTEM, case)
    assert set(found) == set(case["outputs"])
    for name, values in found.items():
        golden.check(case, name, values, expected[name])


def test_nothing_is_missing_or_left():
    report = report_of(network())
    assert report.network == "dmn-aoa"
    assert not report.missing
    assert not report.unexpected
    assert report.complete


@cases("refine")
@torch.inference_mode()
def test_refinement(case):
    given, module = golden.inputs(case), network()
    decoder, added = module.decoder, module.coarse(given["coarse"])
    m4 = decoder.pair(decoder.bridge(given["r4"]) + added[0])
    m3 = decoder.refine3(given["r3"], m4, added[1])
    m2 = decoder.refine2(given["r2"], m3, added[2])
    logits = decoder(given["r4"], given["r3"], given["r2"], added)
    check(case, {"m4": m4, "m3": m3, "m2": m2[:, :32], "logits": logits})


@cases("frame_step")
@torch.inference_mode()
def test_one_frame(case):
    given, module, chosen = golden.inputs(case), network(), case["options"]
    stored = {name: torch.from_numpy(values) for name, values in golden.arrays(SYSTEM, case).items()}
    masks = stored["memory_mask"]  # (T, O, H, W)
    rule = MatchRule(chosen["roi_size"], align=chosen["align_mode"], floor=chosen["floor"])
    entries = [
        module.remember(given[f"frame{place}"], own, other_objects(own), rule) for place, own in enumerate(masks)
    ]
    memories = []
    for number in range(masks.shape[1]):
        keys, values, coarse, *views = (
            torch.stack([part[number] for part in parts]) for parts in zip(*entries, strict=True)
        )
        memories.append(Remembered(keys.flatten(0, 1), values.flatten(0, 1), coarse.flatten(), Views(*views)))
    proposals = Proposals(stored["proposal_mask"], stored["proposal_box"], torch.ones(len(stored["proposal_box"])))
    query = module.query(given[f"frame{len(masks)}"])
    assert module.matcher.kappa == pytest.approx(chosen["kappa"])
    assert module.matcher.overlap_weight("davis") == pytest.approx(chosen["lambda"])
    found = {
        soft: module.find(query, memories, proposals, masks[-1], rule, soft=soft, together=1) for soft in (False, True)
    }
    hard = found[False]
    scores = {
        mode: module.find(query, memories, proposals, masks[-1], MatchRule(align=mode)).scores
        for mode in ("forward", "backward")
    }
    logits = soft_aggregation(hard.probabilities)
    check(
        case,
        {
            "prior": hard.prior,
            "relevance": torch.stack(hard.relevance),
            "beta": torch.stack([one.shares for one in hard.templates]).unflatten(2, (7, 7)),
            "omega": torch.stack([one.masks for one in hard.templates]),
            "template_tokens": hard.template_tokens[..., :64],
            "proposal_tokens": hard.proposal_tokens[..., :64],
            "score_forward": scores["forward"],
            "score_backward": scores["backward"],
            "iou": hard.overlaps,
            "similarity": hard.similarity,
            "assignment": hard.match.assignment,
            "chosen": hard.match.chosen,
            "coarse_test": hard.match.coarse,
            "coarse_train": found[True].match.coarse,
            "object_prob": hard.probabilities,
            "logits": logits,
            "prob": logits.softmax(dim=0),
        },
    )
