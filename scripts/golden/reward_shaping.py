"""Expected values of src/rl/rewardShaping.ts: the soft over-length and repetition rewards of TRL, run as they are.

    python scripts/golden/reward_shaping.py > tests/rl/expected/reward-shaping.json      (pip install trl==1.16.0)
"""

import json
import random
import sys

import trl
from trl.rewards import get_repetition_penalty_reward, get_soft_overlong_punishment

random.seed(5)
completions = [[random.randrange(4) for _ in range(length)] for length in (0, 1, 2, 3, 7, 30, 79, 80, 81, 90, 100, 101, 140)]
overlong = [
    {
        "maxTokens": limit,
        "cacheTokens": cache,
        "expected": get_soft_overlong_punishment(limit, cache)(completion_ids=completions),
    }
    for limit, cache in ((100, 20), (90, 0), (30, 30))
]
repetition = [
    {
        "size": size,
        "factor": factor,
        "expected": get_repetition_penalty_reward(size, -factor)(completion_ids=completions),
    }
    for size, factor in ((1, 1.0), (2, 0.5), (3, 1.0), (5, 2.0))
]
source = f"trl {trl.__version__} trl.rewards"
json.dump(
    {"source": source, "completions": completions, "overlong": overlong, "repetition": repetition}, sys.stdout
)
print()
