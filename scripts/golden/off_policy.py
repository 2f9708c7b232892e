"""Expected values of off-policy corrections, KL and value losses, from the peers' own code.

    python scripts/golden/off_policy.py > tests/rl/expected/off-policy.json

Needs torch and trl 1.16: TRL's off-policy sequence mask and gamma weights are called as they are; KL between whole rows
is torch's kl_div, the clipped value loss is written with torch's operations, and the gradients are autograd's.
"""

import json
import sys

import torch
import trl
from trl.trainer.grpo_trainer import GRPOTrainer

torch.set_default_dtype(torch.float64)
torch.manual_seed(4)
ROWS, TOKENS = 5, 4
MASK = torch.tensor([[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 0]])
ADVANTAGES = torch.tensor([[1.25], [-0.75], [-0.5], [-1.5], [0.0]])


def around(mean, spread):
    return torch.round(mean + spread * torch.randn(ROWS, TOKENS), decimals=4)


def numbers(tensor):
    return tensor.double().flatten().tolist()


def off_policy_masks(log_probs, rollout):
    keeps = {}
    for threshold in (-0.5, 0.0, 0.05, 0.2):
        keep = GRPOTrainer.get_off_policy_mask(ADVANTAGES, log_probs, rollout, MASK, threshold)
        keeps[str(threshold)] = numbers(keep)
    return keeps


def gamma_cases(log_probs, old):
    weights = torch.exp(0.3 * around(0, 1)) * MASK + (1 - MASK)
    run = GRPOTrainer.get_gamma_weights
    plain = run(ADVANTAGES, log_probs - old, MASK, None)
    corrected = run(ADVANTAGES, log_probs - old, MASK, weights, k_pos=1.5, lambda_pos=1.0, k_neg=2.5, lambda_neg=0.5)
    return {"plain": numbers(plain), "importance_weights": numbers(weights), "corrected": numbers(corrected)}


def kl_cases():
    logits = torch.round(2 * torch.randn(3, 5), decimals=4).requires_grad_()
    reference = torch.round(2 * torch.randn(3, 5), decimals=4)
    policy, target = logits.log_softmax(-1), reference.log_softmax(-1)
    result = {"logits": numbers(logits.detach()), "reference_logits": numbers(reference), "width": 5}
    for name, rows in (
        ("reverse", torch.nn.functional.kl_div(target, policy, log_target=True, reduction="none").sum(-1)),
        ("forward", torch.nn.functional.kl_div(policy, target, log_target=True, reduction="none").sum(-1)),
    ):
        (gradient,) = torch.autograd.grad(rows.sum(), logits, retain_graph=True)
        result[name] = {"values": numbers(rows.detach()), "gradients": numbers(gradient)}
    return result


def value_case():
    values, old, returns = around(0, 1).requires_grad_(), around(0, 1), around(0, 1)
    clipped = old + (values - old).clamp(-0.3, 0.3)
    errors = torch.max((values - returns) ** 2, (clipped - returns) ** 2)
    loss = 0.5 * (errors * MASK).sum() / MASK.sum()
    (gradient,) = torch.autograd.grad(loss, values)
    return {
        "values": numbers(values.detach()),
        "old_values": numbers(old),
        "returns": numbers(returns),
        "clip": 0.3,
        "loss": loss.item(),
        "gradients": numbers(gradient),
    }


log_probs = around(-2, 0.8)
rollout = log_probs + around(0, 0.3)
json.dump(
    {
        "versions": {"torch": torch.__version__, "trl": trl.__version__},
        "mask": MASK.flatten().tolist(),
        "tokens": TOKENS,
        "advantages": numbers(ADVANTAGES),
        "log_probs": numbers(log_probs),
        "rollout_log_probs": numbers(rollout),
        "off_policy_keep": off_policy_masks(log_probs, rollout),
        "gamma": gamma_cases(log_probs, rollout),
        "kl": kl_cases(),
        "value": value_case(),
    },
    sys.stdout,
    indent=1,
)
print()
