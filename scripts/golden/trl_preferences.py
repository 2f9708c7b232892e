"""Writes tests/rl/expected/trl-preferences.json: losses, gradients and metrics of TRL's own trainers (DPO, KTO, CPO, ORPO, reward).

     python scripts/golden/trl_preferences.py tests/rl/expected/trl-preferences.json    # with torch and trl 1.16

The trainers' loss methods run as they are, on objects without a model: the forward pass hands back the given log-probs
(or logits whose log-softmax is exactly them), so that backward() leaves the gradient of every token's log-prob. Where a
method leaves float64 on its way, the case says float32.
"""

import json
import sys
from collections import defaultdict
from types import SimpleNamespace

import numpy
import torch
import trl
from trl import DPOTrainer, KTOTrainer, RewardTrainer
from trl.experimental.cpo import CPOTrainer
from trl.experimental.orpo import ORPOTrainer

PROMPT = 3
POLICY, MISMATCHED = 1, 2  # token ids that tell the stand-in model which table is asked for


class Accelerator:
    device = torch.device("cpu")

    def gather(self, value):
        return value

    gather_for_metrics = gather


class Model:
    """Hands back given log-probs, by the id that the first token has."""

    training = True

    def __init__(self, tables):
        self.tables = tables

    def __call__(self, input_ids=None, labels=None, **rest):
        log_probs = self.tables[int(input_ids[0, 0])]
        if labels is None:
            # Two tokens in the vocabulary: the label has its log-prob, the other one the rest.
            logits = torch.stack([torch.log1p(-torch.exp(log_probs)), log_probs], dim=-1)
            return SimpleNamespace(logits=torch.cat([logits, torch.zeros_like(logits[:, :1])], dim=1))
        counted = labels[:, 1:] != -100
        nothing = torch.zeros_like(log_probs)
        return SimpleNamespace(
            log_probs=torch.where(counted, log_probs, nothing),
            entropy=nothing,
            mean_logits=nothing,
            is_top1=torch.zeros_like(counted),
        )


def trainer_of(kind, **settings):
    trainer = object.__new__(kind)
    common = {
        "accelerator": Accelerator(),
        "model": SimpleNamespace(training=True),
        "aux_loss_enabled": False,
        "_metrics": {"train": defaultdict(list)},
        "_total_train_tokens": 0,
        "_tp_size": 1,
    }
    for name, value in {**common, **settings}.items():
        setattr(trainer, name, value)
    return trainer


def table(rows, low, high, random):
    return [[round(float(value), 4) for value in random.uniform(low, high, row)] for row in rows]


def make_batches():
    random = numpy.random.default_rng(2024)
    lengths = [3, 5, 1, 4, 2, 1, 5, 4]
    rows = [PROMPT - 1 + length for length in lengths]
    unpaired = [PROMPT - 1 + length for length in [4, 2, 3, 1, 5]]
    mismatched = [2, 3, 1]
    return {
        # Chosen completions first, then their rejected ones; a prompt's first token has no log-prob.
        "pairs": {
            "lengths": lengths,
            "log_probs": table(rows, -2.5, -0.05, random),
            "reference_log_probs": table(rows, -2.5, -0.05, random),
        },
        "unpaired": {
            "lengths": [4, 2, 3, 1, 5],
            "desirable": [1, 0, 1, 1, 0],
            "log_probs": table(unpaired, -2.5, -0.05, random),
            "reference_log_probs": table(unpaired, -2.5, -0.05, random),
            "mismatched_log_probs": [round(float(value), 4) for value in random.uniform(-5, -1, len(mismatched))],
            "mismatched_reference_log_probs": [
                round(float(value), 4) for value in random.uniform(-6, -2, len(mismatched))
            ],
        },
        "scores": {
            "scores": [round(float(value), 4) for value in random.normal(0, 2, 8)],
            "margins": [round(float(value), 4) for value in random.uniform(0, 2, 4)],
        },
    }


def padded(rows, width):
    return torch.tensor([row + [-1.0] * (width - len(row)) for row in rows], dtype=torch.float64)


def masks(lengths, width):
    """[rows, width] of the completions' tokens, and of all tokens."""
    completion = torch.zeros(len(lengths), width, dtype=torch.long)
    attention = torch.zeros(len(lengths), width, dtype=torch.long)
    for row, length in enumerate(lengths):
        completion[row, PROMPT : PROMPT + length] = 1
        attention[row, : PROMPT + length] = 1
    return completion, attention


def tensors(batch):
    width = PROMPT + max(batch["lengths"])
    log_probs = padded(batch["log_probs"], width - 1)
    reference = padded(batch["reference_log_probs"], width - 1)
    completion, attention = masks(batch["lengths"], width)
    return log_probs, reference, completion, attention


def sums(log_probs, completion):
    return torch.where(completion[:, 1:] == 1, log_probs, torch.zeros_like(log_probs)).sum(1)


def gradients(leaf, batch):
    return [row[: len(given)] for row, given in zip(leaf.grad.tolist(), batch["log_probs"], strict=True)]


def last(metrics):
    skipped = ("entropy", "num_tokens", "mean_token_accuracy")
    return {name: values[-1] for name, values in metrics.items() if name not in skipped and "logits" not in name}


def dpo(batch, loss_types, single=False, **settings):
    log_probs, reference, completion, attention = tensors(batch)
    if single:
        log_probs, reference = log_probs.float(), reference.float()
    leaf = log_probs.requires_grad_()
    trainer = trainer_of(
        DPOTrainer,
        **{
            "loss_types": [loss_types],
            "loss_weights": [1.0],
            "beta": 0.1,
            "label_smoothing": 0.0,
            "f_divergence_type": "reverse_kl",
            "f_alpha_divergence_coef": 0.5,
            "ld_alpha": None,
            "precompute_ref_logps": True,
            "use_weighting": False,
            "args": SimpleNamespace(discopop_tau=0.05),
            **settings,
        },
    )
    chosen, rejected = sums(reference, completion).chunk(2)
    inputs = {
        "input_ids": torch.full_like(completion, POLICY),
        "attention_mask": attention,
        "completion_mask": completion,
        "ref_chosen_logps": chosen,
        "ref_rejected_logps": rejected,
    }
    loss = trainer._compute_loss(Model({POLICY: leaf}), inputs, False)
    loss.backward()
    return loss.item(), gradients(leaf, batch), last(trainer._metrics["train"])


def kto(batch, loss_type, desirable=None, swap=False, **settings):
    log_probs, reference, completion, attention = tensors(batch)
    leaf = log_probs.requires_grad_()
    # One token each: its log-prob is the completion's sum.
    one = torch.tensor([[0, 1]]).repeat(len(batch["mismatched_log_probs"]), 1)
    sides = [batch["mismatched_log_probs"], batch["mismatched_reference_log_probs"]]
    policy, frozen = (torch.tensor(side, dtype=torch.float64) for side in (sides[::-1] if swap else sides))
    trainer = trainer_of(
        KTOTrainer,
        **{
            "loss_type": loss_type,
            "calculate_KL": loss_type == "kto",
            "beta": 0.1,
            "desirable_weight": 1.0,
            "undesirable_weight": 1.0,
            "precompute_ref_logps": True,
            **settings,
        },
    )
    inputs = {
        "input_ids": torch.full_like(completion, POLICY),
        "attention_mask": attention,
        "completion_mask": completion,
        "KL_input_ids": torch.full_like(one, MISMATCHED),
        "KL_attention_mask": torch.ones_like(one),
        "KL_completion_mask": one,
        "label": torch.tensor(desirable or batch["desirable"], dtype=torch.bool),
        "ref_logps": sums(reference, completion),
        "ref_KL_logps": frozen,
    }
    loss = trainer._compute_loss(Model({POLICY: leaf, MISMATCHED: policy.unsqueeze(1)}), inputs, False)
    loss.backward()
    return loss.item(), gradients(leaf, batch), last(trainer._metrics["train"])


def without_reference(kind, batch, **settings):
    """CPO and ORPO: batches of chosen and rejected inputs, labels on the completions."""
    log_probs, _, completion, attention = tensors(batch)
    leaf = log_probs.requires_grad_()
    trainer = trainer_of(kind, is_encoder_decoder=False, padding_value=0, pad_token_id=0, **settings)
    ids = torch.full_like(completion, POLICY)
    labels = torch.where(completion == 1, ids, torch.full_like(ids, -100))
    inputs = {}
    for name, half in (("chosen", 0), ("rejected", 1)):
        inputs[f"{name}_input_ids"] = ids.chunk(2)[half]
        inputs[f"{name}_attention_mask"] = attention.chunk(2)[half]
        inputs[f"{name}_labels"] = labels.chunk(2)[half]
    tables = Model({POLICY: leaf})
    loss, metrics = trainer.get_batch_loss_metrics(lambda ids, **rest: tables(input_ids=ids), inputs)
    loss.backward()
    return loss.item(), gradients(leaf, batch), last({name: [value] for name, value in metrics.items()})


def reward(batch, margin=False, center=None):
    leaf = torch.tensor(batch["scores"], dtype=torch.float64).requires_grad_()
    trainer = trainer_of(RewardTrainer, args=SimpleNamespace(center_rewards_coefficient=center))
    inputs = {"attention_mask": torch.ones(8, 2)}
    if margin:
        inputs["margin"] = torch.tensor(batch["margins"], dtype=torch.float64)
    loss = trainer.compute_loss(lambda **rest: SimpleNamespace(logits=leaf.unsqueeze(1)), inputs)
    loss.backward()
    return loss.item(), leaf.grad.tolist(), last(trainer._metrics["train"])


def cases_of(batches):
    pairs, unpaired, scores = batches["pairs"], batches["unpaired"], batches["scores"]

    def case(trainer, batch, parameters, run, dtype="float64"):
        loss, grads, metrics = run
        return {
            "trainer": trainer,
            "batch": batch,
            "dtype": dtype,
            "parameters": parameters,
            "loss": loss,
            "gradients": grads,
            "metrics": metrics,
        }

    def dpo_case(loss_type, dtype="float64", **settings):
        run = dpo(pairs, loss_type, single=settings.get("f_divergence_type") == "alpha_divergence", **settings)
        return case("dpo", "pairs", {"loss_type": loss_type, **settings}, run, dtype)

    for loss_type in ("sigmoid", "hinge", "ipo", "nca_pair", "bco_pair", "sppo_hard", "apo_zero", "apo_down"):
        yield dpo_case(loss_type)
        yield dpo_case(loss_type, beta=0.8)
    yield dpo_case("sigmoid_norm", beta=2.0)
    for smoothing in (0.1, 0.3):
        yield dpo_case("robust", label_smoothing=smoothing, beta=0.8)
    yield dpo_case("exo_pair", "float32", label_smoothing=1e-3)
    yield dpo_case("exo_pair", "float32", label_smoothing=0.2, beta=0.8)
    yield dpo_case("discopop")
    yield dpo_case("discopop", beta=0.02)
    for loss_type in ("aot", "aot_unpaired"):
        yield dpo_case(loss_type, beta=0.8)
        yield dpo_case(loss_type, label_smoothing=0.2)
    for loss_type in ("sigmoid", "ipo", "hinge"):
        yield dpo_case(loss_type, f_divergence_type="forward_kl")
        yield dpo_case(loss_type, f_divergence_type="js_divergence")
        for alpha in (0.5, 2.0, 1.0):
            options = {"f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": alpha}
            yield dpo_case(loss_type, "float32", **options)

    for loss_type, settings in (
        ("kto", {}),
        ("kto", {"beta": 0.6, "desirable_weight": 1.5, "undesirable_weight": 0.7}),
        ("kto", {"swap": True}),
        ("kto", {"desirable": [1, 1, 1, 1, 1]}),
        ("apo_zero_unpaired", {"beta": 0.3}),
    ):
        yield case("kto", "unpaired", {"loss_type": loss_type, **settings}, kto(unpaired, loss_type, **settings))

    for settings in (
        {"loss_type": "sigmoid"},
        {"loss_type": "sigmoid", "label_smoothing": 0.1, "cpo_alpha": 0.0},
        {"loss_type": "hinge", "cpo_alpha": 0.5, "beta": 0.6},
        {"loss_type": "ipo", "cpo_alpha": 0.0},
        {"loss_type": "simpo", "cpo_alpha": 0.0, "beta": 2.0, "simpo_gamma": 1.0},
        {"loss_type": "simpo", "simpo_gamma": 0.5},
        {"loss_type": "simpo", "label_smoothing": 0.2, "cpo_alpha": 0.0, "simpo_gamma": 0.5},
        {"loss_type": "simpo", "alpha": 0.25, "cpo_alpha": 0.0, "simpo_gamma": 0.1, "beta": 2.5},
    ):
        full = {"beta": 0.1, "label_smoothing": 0.0, "cpo_alpha": 1.0, "simpo_gamma": 0.5, "alpha": 0.0, **settings}
        yield case("cpo", "pairs", full, without_reference(CPOTrainer, pairs, **full))

    for beta in (0.1, 1.0):
        yield case("orpo", "pairs", {"beta": beta}, without_reference(ORPOTrainer, pairs, beta=beta), "float32")

    for settings in ({}, {"margin": True}, {"center": 0.01}, {"margin": True, "center": 0.1}):
        yield case("reward", "scores", settings, reward(scores, **settings))


def main():
    batches = make_batches()
    cases = list(cases_of(batches))
    versions = {"trl": trl.__version__, "torch": torch.__version__}
    lines = ",\n    ".join(json.dumps(case) for case in cases)
    groups = ",\n    ".join(f"{json.dumps(name)}: {json.dumps(batch)}" for name, batch in batches.items())
    with open(sys.argv[1], "w") as file:
        head = f'{{\n  "versions": {json.dumps(versions)},\n  "prompt_tokens": {PROMPT},\n'
        file.write(f'{head}  "batches": {{\n    {groups}\n  }},\n  "cases": [\n    {lines}\n  ]\n}}\n')
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
