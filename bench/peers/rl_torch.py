"""The torch code of TRL and verl for the benchmark peers: `rl_torch.py FOLDER THREADS`.

FOLDER holds the inputs: NAME.bin, and inputs.json with each one's dtype and shape. Each line of the input names a
case; it is run once and answered with one line of JSON: its seconds, and numbers of its result, so that one can see that
both sides compute the same. Needs torch and trl; verl where it can be imported.
"""

import collections
import json
import sys
import time
import types

import numpy
import torch

folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
answers, sys.stdout = sys.stdout, sys.stderr

import trl
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import nanstd, selective_log_softmax_and_entropy

try:
    import verl
    import verl.utils.torch_functional
    from verl.trainer.ppo import core_algos
except ImportError as error:
    verl = None
    print(f"verl cannot be imported: {error}", file=sys.stderr)

with open(f"{folder}/inputs.json") as file:
    inputs = {
        name: torch.from_numpy(numpy.fromfile(f"{folder}/{name}.bin", dtype=dtype).reshape(shape))
        for name, (dtype, shape) in json.load(file).items()
    }


def send(value):
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def trl_advantages():
    rewards = inputs["rewards"]
    grouped = rewards.view(-1, 8)
    mean = torch.nanmean(grouped, dim=1).repeat_interleave(8, dim=0)
    deviation = nanstd(grouped, dim=1).repeat_interleave(8, dim=0)
    return [(rewards - mean) / (deviation + 1e-4)]


class OneProcess:
    num_processes = 1
    sync_gradients = True

    def gather(self, tensor):
        return tensor

    def reduce(self, tensor, reduction):
        return tensor

    def pad_across_processes(self, tensor, dim, pad_index):
        return tensor


def trl_trainer():
    """TRL's GRPOTrainer without a model: its forward pass hands back the given log-probs."""
    settings = {
        "loss_type": "grpo",
        "importance_sampling_level": "token",
        "epsilon_low": 0.2,
        "epsilon_high": 0.2,
        "delta": None,
        "beta": 0.04,
        "use_bias_correction_kl": False,
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "entropy_coef": 0.0,
    }
    trainer = object.__new__(GRPOTrainer)
    for name, value in settings.items():
        setattr(trainer, name, value)
    trainer.args = types.SimpleNamespace(steps_per_generation=1, **settings)
    trainer.accelerator = OneProcess()
    trainer.model = types.SimpleNamespace(training=True)
    trainer.aux_loss_enabled = False
    trainer.use_vllm = trainer.vllm_importance_sampling_correction = trainer.use_adaptive_entropy = False
    trainer._entropy_bonus_enabled = False
    trainer.current_gradient_accumulation_steps = 1
    trainer._metrics = {"train": collections.defaultdict(list)}
    entropies = torch.zeros_like(inputs["log_probs"])
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (trainer.log_probs, entropies, None)
    return trainer


trainer = trl_trainer()
every_token = torch.ones_like(inputs["log_probs"], dtype=torch.long)
prompt = torch.zeros(len(every_token), 1, dtype=torch.long)


def trl_loss():
    trainer.log_probs = inputs["log_probs"].clone().requires_grad_()
    trainer._metrics["train"].clear()
    loss = trainer._compute_loss(
        None,
        {
            "prompt_ids": prompt,
            "prompt_mask": prompt,
            "completion_ids": every_token,
            "completion_mask": every_token,
            "advantages": inputs["advantages"],
            "old_per_token_logps": inputs["old_log_probs"],
            "ref_per_token_logps": inputs["reference_log_probs"],
            "num_items_in_batch": every_token.sum(),
        },
    )
    loss.backward()
    return [loss, trainer.log_probs.grad]


def trl_log_probs():
    with torch.no_grad():
        return selective_log_softmax_and_entropy(inputs["logits"], inputs["tokens"].long(), entropy_requires_grad=False)


def verl_gae():
    # Without the whitening that verl does afterwards: the recursion alone is compared.
    verl.utils.torch_functional.masked_whiten = lambda values, *_, **__: values
    mask = torch.ones_like(inputs["values"])
    return core_algos.compute_gae_advantage_return(inputs["step_rewards"], inputs["values"], mask, 1.0, 0.95)


def verl_advantages():
    rewards = inputs["verl_rewards"].view(-1, 1)
    groups = numpy.arange(len(rewards)) // 8
    return [core_algos.compute_grpo_outcome_advantage(rewards, torch.ones_like(rewards), groups)[0]]


class ActorSettings:
    clip_ratio = clip_ratio_low = clip_ratio_high = 0.2
    global_batch_info = {}

    def get(self, name, default):
        return getattr(self, name, default)


def verl_loss():
    log_probs = inputs["log_probs"].clone().requires_grad_()
    advantages = inputs["advantages"].unsqueeze(1).expand_as(log_probs)
    loss, _ = core_algos.compute_policy_loss_vanilla(
        inputs["old_log_probs"], log_probs, advantages, every_token, "token-mean", ActorSettings()
    )
    loss.backward()
    return [loss, log_probs.grad]


def verl_log_probs():
    with torch.no_grad():
        return [
            verl.utils.torch_functional.logprobs_from_logits(inputs["logits"], inputs["tokens"].long()),
            verl.utils.torch_functional.entropy_from_logits(inputs["logits"]),
        ]


cases = {
    "TRL grpo advantages": trl_advantages,
    "TRL grpo loss with KL": trl_loss,
    "TRL log-prob and entropy": trl_log_probs,
}
if verl:
    cases["verl gae"] = verl_gae
    cases["verl grpo advantages"] = verl_advantages
    cases["verl ppo loss"] = verl_loss
    cases["verl log-prob and entropy"] = verl_log_probs

versions = f"trl {trl.__version__}, torch {torch.__version__}"
versions += f", verl {verl.__version__}" if verl else ", no verl"
send({"ready": f"{versions}, {torch.get_num_threads()} threads", "cases": list(cases)})
for line in sys.stdin:
    began = time.perf_counter()
    result = cases[line.strip()]()
    seconds = time.perf_counter() - began
    flat = [tensor.detach().reshape(-1) for tensor in result]
    # 64 numbers of each tensor, evenly spaced.
    send({"seconds": seconds, "samples": [one[:: max(1, len(one) // 64)][:64].tolist() for one in flat]})
