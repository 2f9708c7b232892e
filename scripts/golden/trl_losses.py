"""Expected values of TRL's policy losses: runs its trainers' own loss on given log-probs, without a model.

    python scripts/golden/trl_losses.py > tests/rl/expected/trl-losses.json

Needs torch and trl 1.16. The forward pass is replaced by one that hands back the given log-probs and entropies.
"""

import collections
import json
import types

import torch
import trl
from trl.experimental.gmpo import GMPOTrainer
from trl.trainer.grpo_trainer import GRPOTrainer

torch.set_default_dtype(torch.float64)
ROWS, TOKENS = 4, 5
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 0, 0]])
ADVANTAGES = torch.tensor([1.25, -0.75, 0.5, -1.5])

DEFAULTS = {
    "loss_type": "grpo",
    "importance_sampling_level": "token",
    "epsilon_low": 0.2,
    "epsilon_high": 0.28,
    "delta": None,
    "beta": 0.0,
    "use_bias_correction_kl": True,
    "top_entropy_quantile": 1.0,
    "off_policy_mask_threshold": None,
    "entropy_coef": 0.0,
    "sapo_temperature_pos": 1.0,
    "sapo_temperature_neg": 1.05,
    "vespo_k_pos": 2.0,
    "vespo_lambda_pos": 3.0,
    "vespo_k_neg": 3.0,
    "vespo_lambda_neg": 2.0,
    "max_completion_length": 8,
}

CASES = {
    "cispo": {"loss_type": "cispo", "epsilon_high": 1.2},
    "cispo of sequences": {"loss_type": "cispo", "epsilon_high": 1.02, "importance_sampling_level": "sequence"},
    "cispo with KL": {"loss_type": "cispo", "epsilon_high": 5.0, "beta": 0.3},
    "sapo": {"loss_type": "sapo", "sapo_temperature_neg": 1.7},
    "sapo of sequences": {"loss_type": "sapo", "importance_sampling_level": "sequence", "beta": 0.2},
    "luspo": {"loss_type": "luspo", "importance_sampling_level": "sequence"},
    "luspo of tokens": {"loss_type": "luspo"},
    "vespo": {"loss_type": "vespo"},
    "vespo with KL": {"loss_type": "vespo", "vespo_k_pos": 1.5, "vespo_lambda_neg": 1.0, "beta": 0.1},
    "gmpo": {"loss_type": "gmpo", "epsilon_low": 0.1, "epsilon_high": 0.15},
    "gmpo with KL": {"loss_type": "gmpo", "epsilon_low": 0.4, "epsilon_high": 0.4, "beta": 0.2},
    "gmpo of high entropy": {"loss_type": "gmpo", "epsilon_low": 0.2, "epsilon_high": 0.2, "top_entropy_quantile": 0.5},
    "high entropy": {"loss_type": "dapo", "top_entropy_quantile": 0.4},
    "high entropy with bonus": {"loss_type": "dapo", "top_entropy_quantile": 0.6, "entropy_coef": 0.05},
    "off-policy mask": {"loss_type": "dapo", "off_policy_mask_threshold": 0.01},
    "delta": {"loss_type": "dapo", "delta": 1.3},
}


class Accelerator:
    num_processes = 1
    sync_gradients = True

    def gather(self, tensor):
        return tensor

    def reduce(self, tensor, reduction):
        return tensor

    def pad_across_processes(self, tensor, dim, pad_index):
        return tensor


def draw(seed):
    generator = torch.Generator().manual_seed(seed)
    old = -3 * torch.rand(ROWS, TOKENS, generator=generator) - 0.2
    near = lambda: old + 0.25 * torch.randn(ROWS, TOKENS, generator=generator)
    entropies = 2 * torch.rand(ROWS, TOKENS, generator=generator)
    # Few digits, so that the file shows the exact inputs; entropies exact in float32, where TRL takes its quantile.
    rounded = [torch.round(values * 10000) / 10000 for values in (near(), old, near(), near())]
    return (*rounded, torch.round(entropies * 1024) / 1024)


def run(changes):
    settings = {**DEFAULTS, **changes}
    gmpo = settings["loss_type"] == "gmpo"
    trainer = object.__new__(GMPOTrainer if gmpo else GRPOTrainer)
    for name, value in settings.items():
        setattr(trainer, name, value)
    trainer.args = types.SimpleNamespace(steps_per_generation=1, **settings)
    trainer.accelerator = Accelerator()
    trainer.model = types.SimpleNamespace(training=True)
    trainer.aux_loss_enabled = False
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = trainer.use_adaptive_entropy = False
    trainer._entropy_bonus_enabled = settings["entropy_coef"] != 0
    trainer.current_gradient_accumulation_steps = 1
    trainer._metrics = {"train": collections.defaultdict(list)}
    log_probs, old, reference, rollout, entropies = draw(5)
    log_probs.requires_grad_()
    entropies.requires_grad_()
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (log_probs, entropies, None)
    ids = torch.zeros(ROWS, TOKENS, dtype=torch.long)
    loss = trainer._compute_loss(
        None,
        {
            "prompt_ids": ids,
            "prompt_mask": ids,
            "completion_ids": ids,
            "completion_mask": MASK,
            "advantages": ADVANTAGES,
            "old_per_token_logps": old,
            "ref_per_token_logps": reference,
            "sampling_per_token_logps": rollout,
            "num_items_in_batch": MASK.sum(),
        },
    )
    gradient, entropy_gradient = torch.autograd.grad(loss, [log_probs, entropies], allow_unused=True)
    metrics = {name: values[-1] for name, values in trainer._metrics["train"].items()}
    return {
        "settings": changes,
        "loss": loss.item(),
        "log_prob_gradients": gradient.flatten().tolist(),
        "entropy_gradients": None if entropy_gradient is None else entropy_gradient.flatten().tolist(),
        "metrics": metrics,
    }


log_probs, old, reference, rollout, entropies = draw(5)
inputs = {
    "log_probs": log_probs,
    "old_log_probs": old,
    "reference_log_probs": reference,
    "rollout_log_probs": rollout,
    "entropies": entropies,
    "mask": MASK,
    "advantages": ADVANTAGES,
}
print(
    json.dumps(
        {
            "made_by": f"scripts/golden/trl_losses.py, trl {trl.__version__}, torch {torch.__version__}",
            "inputs": {name: values.flatten().tolist() for name, values in inputs.items()},
            "defaults": DEFAULTS,
            "cases": {name: run(changes) for name, changes in CASES.items()},
        },
        indent=1,
    )
)
