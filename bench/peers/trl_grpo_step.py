"""TRL's side of the benchmark grpo-step: `trl_grpo_step.py TASK_JSON DTYPE MICRO_BATCH`.

Does one optimizer step of GRPOTrainer for each line of its input, and answers each with one line of JSON. Needs torch,
transformers and trl; nothing is downloaded.
"""

import contextlib
import json
import os
import sys
import tempfile
import time

import torch

task = json.loads(sys.argv[1])
dtype, micro_batch = sys.argv[2], int(sys.argv[3])
torch.set_num_threads(task["threads"])

import transformers
import trl
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

transformers.logging.set_verbosity_error()
answers = sys.stdout
rows = len(task["prompts"]) * task["completions"]
micro_batch = micro_batch or rows
if rows % micro_batch:
    sys.exit(f"the micro-batch {micro_batch} does not divide {rows} completions")


def send(value):
    answers.write(json.dumps(value) + "\n")
    answers.flush()


def reward(completions, **_):
    """The share of the letter e: trivial, and the same as adjudge's side."""
    return [text.count("e") / max(1, len(text)) for text in completions]


class Clock(TrainerCallback):
    """Waits for a line before each step, and tells its time after it."""

    def __init__(self):
        self.parts = {"generation": 0.0, "optimizer": 0.0}
        self.tokens = {"prompt": 0, "completion": 0}
        self.rewards = []

    @contextlib.contextmanager
    def part(self, name):
        began = time.perf_counter()
        yield
        self.parts[name] += time.perf_counter() - began

    def on_step_begin(self, args, state, control, **_):
        if not sys.stdin.readline():
            os._exit(0)
        self.parts = {"generation": 0.0, "optimizer": 0.0}
        self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        seconds = time.perf_counter() - self.began
        send(
            {
                "seconds": seconds,
                "generation": self.parts["generation"],
                "backward": seconds - self.parts["generation"] - self.parts["optimizer"],
                "optimizer": self.parts["optimizer"],
                "promptTokens": self.tokens["prompt"],
                "completionTokens": self.tokens["completion"],
                "reward": sum(self.rewards) / max(1, len(self.rewards)),
            }
        )


clock = Clock()


class Trainer(GRPOTrainer):
    def _generate_and_score_completions(self, inputs):
        with clock.part("generation"):
            out = super()._generate_and_score_completions(inputs)
        clock.tokens = {
            "prompt": int(out["prompt_mask"].sum()) // task["completions"],
            "completion": int(out["completion_mask"].sum()),
        }
        return out

    def create_optimizer(self, *args, **kwargs):
        optimizer = super().create_optimizer(*args, **kwargs)
        step = optimizer.step

        def timed(*args, **kwargs):
            with clock.part("optimizer"):
                return step(*args, **kwargs)

        optimizer.step = timed
        return optimizer


def scored(completions, **kwargs):
    clock.rewards = reward(completions)
    return clock.rewards


with tempfile.TemporaryDirectory() as folder:
    model = AutoModelForCausalLM.from_pretrained(task["model"], dtype=getattr(torch, dtype))
    tokenizer = AutoTokenizer.from_pretrained(task["model"])
    trainer = Trainer(
        model=model,
        reward_funcs=scored,
        processing_class=tokenizer,
        train_dataset=Dataset.from_dict({"prompt": task["prompts"]}),
        callbacks=[clock],
        args=GRPOConfig(
            output_dir=folder,
            use_cpu=True,
            bf16=dtype == "bfloat16",
            fp16=False,
            per_device_train_batch_size=micro_batch,
            gradient_accumulation_steps=rows // micro_batch,
            num_generations=task["completions"],
            max_completion_length=task["maxTokens"],
            generation_kwargs={"min_new_tokens": task["maxTokens"]},
            temperature=1.0,
            beta=0.0,
            learning_rate=task["learningRate"],
            lr_scheduler_type="constant",
            max_grad_norm=1.0,
            gradient_checkpointing=False,
            max_steps=1_000_000,
            num_train_epochs=1,
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            shuffle_dataset=False,
        ),
    )
    versions = f"trl {trl.__version__}, torch {torch.__version__}, transformers {transformers.__version__}"
    send({"ready": f"{versions}, {dtype}, micro-batches of {micro_batch}, {torch.get_num_threads()} threads"})
    sys.stdout = sys.stderr
    trainer.train()
