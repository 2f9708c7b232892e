"""Expected values of src/rl/logits.ts: softmax, Categorical and autograd of torch, in f64.

    python scripts/golden/logits.py > tests/rl/expected/logits.json      (pip install torch==2.13.0)
"""

import json
import sys

import torch

torch.manual_seed(11)
rows, vocabulary, top_k = 6, 23, 4
logits = (torch.randn(rows, vocabulary, dtype=torch.float64) * torch.tensor([[0.1], [1], [3], [8], [2], [1]])).round(
    decimals=6
)
logits[4] -= 700
masked = torch.rand(rows, vocabulary) < 0.2
tokens = torch.where(masked, -torch.inf, logits).softmax(-1).multinomial(1).squeeze(-1)
log_prob_gradients = torch.randn(rows, dtype=torch.float64).round(decimals=6)
entropy_gradients = torch.randn(rows, dtype=torch.float64).round(decimals=6)


def case(temperature):
    z = torch.where(masked, -torch.inf, logits).requires_grad_()
    distribution = torch.distributions.Categorical(logits=z / temperature)
    log_probs, entropies = distribution.log_prob(tokens), distribution.entropy()
    # Its entropy's derivative is NaN where a logit is minus infinity.
    finite = distribution.logits.masked_fill(masked, 0)
    explored = -(distribution.probs * finite).sum(-1)
    ((log_probs * log_prob_gradients).sum() + (explored * entropy_gradients).sum()).backward()
    top = torch.topk(torch.log_softmax(z / temperature, -1), top_k)
    return {
        "temperature": temperature,
        "log_probs": log_probs.tolist(),
        "entropies": entropies.tolist(),
        "log_sum_exp": torch.logsumexp(z / temperature, -1).tolist(),
        "sum_pi_squared": distribution.probs.square().sum(-1).tolist(),
        "top_tokens": top.indices.flatten().tolist(),
        "top_log_probs": top.values.flatten().tolist(),
        "logit_gradients": z.grad.flatten().tolist(),
    }


json.dump(
    {
        "source": f"torch {torch.__version__} distributions.Categorical, autograd",
        "top_k": top_k,
        "logits": [None if hidden else logit for logit, hidden in zip(logits.flatten().tolist(), masked.flatten().tolist())],
        "tokens": tokens.tolist(),
        "log_prob_gradients": log_prob_gradients.tolist(),
        "entropy_gradients": entropy_gradients.tolist(),
        "cases": [case(temperature) for temperature in (1.0, 0.7, 2.5)],
    },
    sys.stdout,
)
print()
