"""Expected values of Q-learning losses, from the peers' own code.

    python scripts/golden/q_learning.py --trlx TRLX --sb3-contrib SB3 > tests/rl/expected/q-learning.json
    npx prettier --write tests/rl/expected/q-learning.json

TRLX and SB3: checkouts of CarperAI/trlx (3340c2f) and Stable-Baselines-Team/stable-baselines3-contrib (2.9.0a2). Needs
torch. trlx's ILQL loss and SB3's quantile Huber loss are called as they are, the packages that their files import
besides torch but do not use here being stood in for; gradients are autograd's.
"""

import argparse
import dataclasses
import importlib.util
import json
import sys
import types
from pathlib import Path

import torch
import torch.nn.functional as F

ROWS, STEPS, VOCABULARY = 3, 4, 6
# A state that goes on is 1: the first row ends, the second is shorter, the third is cut off without an end.
GOES_ON = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
ILQL = {
    "trlx": dict(tau=0.7, gamma=0.99, cql_scale=0.1, awac_scale=1.0, beta=0.0, two_qs=True),
    "one Q": dict(tau=0.7, gamma=0.9, cql_scale=0.3, awac_scale=0.5, beta=1.0, two_qs=False),
    "high expectile": dict(tau=0.95, gamma=1.0, cql_scale=1e-4, awac_scale=2.0, beta=3.0, two_qs=True),
    "no policy": dict(tau=0.5, gamma=0.5, cql_scale=1.0, awac_scale=0.0, beta=1.0, two_qs=True),
}


def load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def stand_in(name, **members):
    module = types.ModuleType(name)
    module.__dict__.update(members)
    sys.modules[name] = module


class Anything:
    def __class_getitem__(cls, _):
        return cls


@dataclasses.dataclass
class Configuration:
    pass


class Batch(types.SimpleNamespace):
    pass


def ilql_module(folder):
    load("trlx.utils.modeling", folder / "trlx/utils/modeling.py")
    # After the line above: transformers and accelerate would take the stand-in for the package.
    import transformers.modeling_outputs  # noqa: F401

    stand_in("deepspeed")
    stand_in("torchtyping", TensorType=Anything)
    for package in ("trlx", "trlx.data", "trlx.models", "trlx.utils"):
        stand_in(package)
    stand_in("trlx.data.ilql_types", ILQLBatch=Batch)
    stand_in("trlx.data.method_configs", MethodConfig=Configuration, register_method=lambda cls: cls)
    stand_in("trlx.models.modeling_base", PreTrainedModelWrapper=object)
    return load("trlx.models.modeling_ilql", folder / "trlx/models/modeling_ilql.py")


def draw(*shape):
    return torch.round(torch.randn(*shape), decimals=3)


def numbers(tensor):
    return tensor.detach().double().flatten().tolist()


def ilql_case(module, name, parameters):
    heads = 2 if parameters["two_qs"] else 1
    qs = [draw(ROWS, STEPS, VOCABULARY).requires_grad_() for _ in range(heads)]
    target_qs = [draw(ROWS, STEPS, VOCABULARY) for _ in range(heads)]
    vs = draw(ROWS, STEPS + 1, 1).requires_grad_()
    logits = draw(ROWS, STEPS, VOCABULARY).requires_grad_()
    actions = torch.randint(VOCABULARY, (ROWS, STEPS))
    labels = Batch(
        input_ids=torch.cat([torch.zeros(ROWS, 1, dtype=torch.long), actions], 1),
        actions_ixs=torch.arange(STEPS).expand(ROWS, STEPS),
        rewards=draw(ROWS, STEPS),
        dones=GOES_ON,
    )
    config = module.ILQLConfig(alpha=0.001, steps_for_target_q_sync=5, gen_kwargs={}, **parameters)
    loss, stats = config.loss((logits, (qs, target_qs, vs)), labels)
    loss.backward()
    taken = actions.unsqueeze(-1)
    probabilities = logits.softmax(-1).gather(-1, taken)
    # d log-prob / d logit of the action taken is 1 - p.
    log_prob_gradients = logits.grad.gather(-1, taken) / (1 - probabilities)
    return {
        "name": name,
        "parameters": parameters,
        "actions": actions.flatten().tolist(),
        "goes_on": GOES_ON.flatten().tolist(),
        "rewards": numbers(labels.rewards),
        "qs": [numbers(q) for q in qs],
        "target_qs": [numbers(q) for q in target_qs],
        "values": numbers(vs),
        "log_probs": numbers(logits.log_softmax(-1).gather(-1, taken)),
        "losses": {key.split("/")[-1]: value for key, value in stats.items() if key.startswith("losses/")},
        "grad_qs": [numbers(q.grad) for q in qs],
        "grad_values": numbers(vs.grad[:, :-1]),
        "grad_log_probs": numbers(log_prob_gradients),
    }


def quantile_case(module, quantiles):
    current = draw(5, quantiles).requires_grad_()
    # 2 x: errors on both sides of the threshold.
    target = 2 * draw(5, quantiles)
    loss = module.quantile_huber_loss(current, target, sum_over_quantiles=True)
    loss.backward()
    return {
        "quantiles": quantiles,
        "current": numbers(current),
        "target": numbers(target),
        "loss": loss.item(),
        "grad": numbers(current.grad),
    }


def regression_case(kind, threshold):
    current, target = draw(12).requires_grad_(), 2 * draw(12)
    loss = F.mse_loss(current, target) if kind == "squared" else F.huber_loss(current, target, delta=threshold)
    loss.backward()
    return {
        "kind": kind,
        "threshold": threshold,
        "current": numbers(current),
        "target": numbers(target),
        "loss": loss.item(),
        "grad": numbers(current.grad),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--trlx", type=Path, required=True)
    parser.add_argument("--sb3-contrib", type=Path, required=True)
    options = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(6)
    ilql = ilql_module(options.trlx)
    quantile = load("sb3_utils", options.sb3_contrib / "sb3_contrib/common/utils.py")
    result = {
        "versions": {"torch": torch.__version__, "trlx": "3340c2f", "sb3_contrib": "2.9.0a2"},
        "steps": STEPS,
        "vocabulary": VOCABULARY,
        "ilql": [ilql_case(ilql, name, parameters) for name, parameters in ILQL.items()],
        # Powers of two: SB3 holds the quantiles' middles in float32.
        "quantile": [quantile_case(quantile, quantiles) for quantiles in (1, 4, 8)],
        "regression": [regression_case(kind, threshold) for kind, threshold in
                       (("squared", 1), ("huber", 1), ("huber", 0.3))],
    }
    json.dump(result, sys.stdout)


main()
