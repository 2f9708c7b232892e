"""Makes the models of tests/judge/onnx.test.ts, with what Transformers says of them.

    python tests/judge/onnx/make.py        needs torch, transformers, tokenizers and onnx

Random weights: what is tested is reading, padding, batching and scoring.
"""

import json
import shutil
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

here = Path(__file__).parent
words = "the a parcel is on its way thank you no why where it was lost we will send new one today sorry to hear that".split()
letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,?!:-")
vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words, *[x for x in letters if x not in words], *[f"##{x}" for x in letters]]
pairs = [
    ("where is it", "the parcel is on its way"),
    ("why was it lost", "no"),
    ("where is the parcel", "sorry to hear that, we will send a new one today. thank you!"),
    ("", "it was"),
]


def tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = [("[CLS]", vocabulary.index("[CLS]")), ("[SEP]", vocabulary.index("[SEP]"))]
    inner.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ids)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", model_max_length=48,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


class Outputs(torch.nn.Module):
    def __init__(self, model, name):
        super().__init__()
        self.model, self.name = model, name

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids)[self.name]


def make(name: str, labels: dict[int, str] | None, seed: int) -> list:
    torch.manual_seed(seed)
    folder = here / name
    shutil.rmtree(folder, ignore_errors=True)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=48, initializer_range=0.2, num_labels=len(labels or {0: ""}), attn_implementation="eager",
        **({"id2label": labels, "label2id": {v: k for k, v in labels.items()}} if labels else {}),
    )
    model = (BertForSequenceClassification if labels else BertModel)(config).eval()
    output = "logits" if labels else "last_hidden_state"
    words_of = tokenizer()
    words_of.save_pretrained(folder)
    config.save_pretrained(folder)
    encoded = words_of([a for a, _ in pairs], [b for _, b in pairs], padding=True, return_tensors="pt")
    inputs = (encoded["input_ids"], encoded["attention_mask"], encoded["token_type_ids"])
    names = ["input_ids", "attention_mask", "token_type_ids"]
    axes = {key: {0: "batch", 1: "tokens"} for key in [*names, *([output] if not labels else [])]}
    if labels:
        axes[output] = {0: "batch"}
    torch.onnx.export(
        Outputs(model, output).eval(), inputs, str(folder / "model.onnx"), input_names=names, output_names=[output],
        dynamic_axes=axes, opset_version=17, dynamo=False,
    )
    with torch.no_grad():
        if labels:
            return model(*inputs[:2], token_type_ids=inputs[2]).logits.tolist()
        rows = []
        for _, text in pairs:
            one = words_of(text, return_tensors="pt")
            hidden = model(**one).last_hidden_state[0]
            rows.append([torch.nn.functional.normalize(x, dim=0).tolist() for x in (hidden.mean(0), hidden[0])])
        return rows


golden = {
    "pairs": pairs,
    "classifier": make("classifier", {0: "1 star", 1: "2 stars", 2: "3 stars"}, 1),
    "reward": make("reward", {0: "LABEL_0"}, 2),
    "embedder": make("embedder", None, 3),
}
(here / "golden.json").write_text(json.dumps(golden) + "\n")
