/**
 * The shape of run.yaml. Every key with its default stands here once: the check, the types and the defaults come from it.
 * Only model, data and (for reinforcement learning) rewards must be given.
 */
import { Type, type Static, type TProperties } from '@sinclair/typebox'
import { BudgetSchema, JudgeConfigSchema } from '../judge/index.js'
import { sizePattern } from './freeMemory.js'

/** A section where every key may be left out. */
const section = <T extends TProperties>(properties: T) =>
  Type.Object(properties, { additionalProperties: false, default: {} })
const name = { minLength: 1 }
const choice = <const T extends string>(values: readonly T[], options: { default?: T } = {}) =>
  Type.Unsafe<T>(
    Type.Union(
      values.map((value) => Type.Literal(value)),
      options
    )
  )

const MessageSchema = Type.Object(
  { role: choice(['system', 'user', 'assistant', 'tool'] as const), content: Type.String() },
  { additionalProperties: false }
)

const LoraSchema = Type.Object(
  {
    /** Width of the low-rank update. */
    rank: Type.Integer({ minimum: 1, default: 16 }),
    /** The update is scaled by alpha / rank. */
    alpha: Type.Number({ exclusiveMinimum: 0, default: 32 }),
    /** Names of linear layers (q_proj, down_proj, …), or all of them but the head. */
    target_modules: Type.Union([Type.Literal('all-linear'), Type.Array(Type.String(name), { minItems: 1 })], {
      default: 'all-linear'
    })
  },
  { additionalProperties: false }
)

const ModelSchema = Type.Object(
  {
    path: Type.String({ ...name, description: 'a Transformers folder or a GGUF file' }),
    /** bfloat16 where the processor computes in it, else float32. */
    dtype: choice(['auto', 'float32', 'bfloat16'] as const, { default: 'auto' }),
    /** Train a new adapter instead of all weights. */
    lora: Type.Optional(LoraSchema),
    /** Go on with this PEFT folder instead. */
    adapter: Type.Optional(Type.String(name)),
    /** Threads of the engine; default: one per core. */
    threads: Type.Optional(Type.Integer({ minimum: 1 }))
  },
  { additionalProperties: false }
)

const DataSchema = Type.Object(
  {
    train: Type.String({ ...name, description: 'a .jsonl or .csv file' }),
    /** Held-out items for evaluations. */
    test: Type.Optional(Type.String(name)),
    /** One user message or a list of messages over `{{ item.<field> }}`; default: the item's messages or prompt. */
    prompt: Type.Optional(Type.Union([Type.String(name), Type.Array(MessageSchema, { minItems: 1 })])),
    /**
     * `given`: a preset of preferences learns from the data's own answers, which nobody judges: `{ prompt, chosen,
     * rejected }`, `{ prompt, completion, label }` (kto), `{ prompt, completion, score }` by lines, or
     * `{ prompt, completions: [{ text, score }] }`. ilql always learns from such. Default: `sampled`.
     */
    completions: Type.Optional(choice(['sampled', 'given'] as const)),
    /** A longer prompt is an error that names its line. Default: what the model's context leaves. */
    max_prompt_tokens: Type.Optional(Type.Integer({ minimum: 1 }))
  },
  { additionalProperties: false }
)

const RewardSchema = Type.Object(
  {
    /** The column's name in metrics and rollouts. */
    name: Type.String({ ...name, pattern: '^[A-Za-z_][A-Za-z0-9_]*$', description: 'letters, digits and _' }),
    /** Its share in the reward: the weighted sum of all columns. */
    weight: Type.Number({ default: 1 }),
    judge: Type.Optional(JudgeConfigSchema),
    /** A grader in OpenAI's shape. */
    grader: Type.Optional(Type.Object({ type: Type.String(name) }, { additionalProperties: true })),
    /** A module whose default export gives a number, null (unscored) or { score, … }. */
    function: Type.Optional(Type.String(name))
  },
  { additionalProperties: false }
)

/** What is done to the reward (the weighted sum of the columns) before advantages, in this order. */
const ShapingSchema = Type.Object(
  {
    /** 1. Completions cut at max_tokens: from 0 to 1, times their reward; below 0, in its place (ProRL). */
    truncated: Type.Optional(Type.Number({ maximum: 1 })),
    /** 2. Lowest and highest reward. */
    clip: Type.Optional(Type.Tuple([Type.Number(), Type.Number()])),
    /** 3. Divided by the deviation of all rewards of the run so far; kept in checkpoints. */
    scale: Type.Optional(
      Type.Object(
        {
          /** Their mean is subtracted first. */
          center: Type.Boolean({ default: false }),
          epsilon: Type.Number({ exclusiveMinimum: 0, default: 1e-8 }),
          /** The result is kept within ± this; default: no limit. */
          limit: Type.Optional(Type.Number({ exclusiveMinimum: 0 }))
        },
        { additionalProperties: false }
      )
    ),
    /** 4. Added: DAPO's soft penalty, from 0 at max_tokens − cache_tokens to −factor at max_tokens. */
    overlong: Type.Optional(
      Type.Object(
        {
          /** Default: rollout.max_tokens. */
          max_tokens: Type.Optional(Type.Integer({ minimum: 1 })),
          cache_tokens: Type.Integer({ minimum: 0 }),
          factor: Type.Number({ minimum: 0, default: 1 })
        },
        { additionalProperties: false }
      )
    ),
    /** 4. Added: −per_token for each token beyond free_tokens, at most −limit. */
    length: Type.Optional(
      Type.Object(
        {
          free_tokens: Type.Number({ minimum: 0, default: 0 }),
          per_token: Type.Number({ minimum: 0 }),
          limit: Type.Optional(Type.Number({ minimum: 0 }))
        },
        { additionalProperties: false }
      )
    ),
    /** 4. Added: −factor × the share of n-grams (of `size` tokens) that are repetitions. */
    repetition: Type.Optional(
      Type.Object(
        { size: Type.Integer({ minimum: 1, default: 3 }), factor: Type.Number({ minimum: 0, default: 1 }) },
        { additionalProperties: false }
      )
    ),
    /** Completions cut at max_tokens teach nothing; their rewards still count in the baseline. */
    mask_truncated: Type.Optional(Type.Boolean()),
    /**
     * With a KL in the reward (algorithm.kl.in_reward): its coefficient, which begins as algorithm.kl.coefficient, rises
     * while the KL per token lies above the target and falls below it; kept in checkpoints.
     */
    adaptive_kl: Type.Optional(
      Type.Object(
        {
          target: Type.Number({ exclusiveMinimum: 0, default: 0.1 }),
          /** Completions over which the coefficient doubles at an error of 1. */
          horizon: Type.Number({ exclusiveMinimum: 0, default: 10000 }),
          /** Largest relative error of one step. */
          limit: Type.Number({ exclusiveMinimum: 0, default: 0.2 })
        },
        { additionalProperties: false }
      )
    )
  },
  { additionalProperties: false }
)

/**
 * The critic of estimator gae (preset ppo): a linear head on the policy's last hidden state, which gives the value of the
 * state before each token. Other keys change its loss: preset (ppo, trl, verl, openrlhf; default: as the algorithm's),
 * clip, coefficient, aggregation, …
 */
const ValueSchema = Type.Object(
  {
    /** Of the head's own optimizer, with the schedule of the policy's; default: ten times optimizer.learning_rate. */
    learning_rate: Type.Optional(Type.Number({ exclusiveMinimum: 0 })),
    /**
     * True: the policy's layers learn nothing from the value loss, as with the separate critic models of TRL, verl and
     * OpenRLHF. False: they (or their adapter) learn from both losses.
     */
    stop_gradient: Type.Boolean({ default: true })
  },
  { additionalProperties: Type.Unknown(), description: 'such as { clip: 0.2 }' }
)

export const RunSchema = Type.Object(
  {
    /** The run's name; default: the configuration file's. */
    name: Type.Optional(Type.String({ ...name, pattern: '^[\\w.-]+$', description: 'letters, digits, ., _ and -' })),
    /** Where the run's folder is made. */
    runs: Type.String({ ...name, default: 'runs' }),
    /** The verdict store; default: inside the run's folder. */
    ledger: Type.Optional(Type.String(name)),
    model: ModelSchema,
    data: DataSchema,
    rollout: section({
      /** Prompts per step. */
      prompts: Type.Integer({ minimum: 1, default: 16 }),
      /** Completions per prompt: a group. */
      completions: Type.Integer({ minimum: 1, default: 8 }),
      /**
       * For the preset exact, in place of samples: the closed set of answers, or the item's field that lists them, such
       * as `{{ item.choices }}`. Each is a whole answer and is judged once; completions, max_tokens and the keys of
       * sampling other than temperature then have no effect. An evaluation takes the most probable one.
       */
      choices: Type.Optional(
        Type.Union([
          Type.Array(Type.String(name), { minItems: 2 }),
          Type.String({ ...name, description: 'a field of the item, such as {{ item.choices }}' })
        ])
      ),
      max_tokens: Type.Integer({ minimum: 1, default: 128 }),
      temperature: Type.Number({ exclusiveMinimum: 0, default: 1 }),
      /** 0 keeps every token. */
      top_k: Type.Integer({ minimum: 0, default: 0 }),
      top_p: Type.Number({ exclusiveMinimum: 0, maximum: 1, default: 1 }),
      min_p: Type.Number({ minimum: 0, maximum: 1, default: 0 }),
      repetition_penalty: Type.Number({ exclusiveMinimum: 0, default: 1 }),
      stop: Type.Array(Type.String(name), { default: [] }),
      /** For ilql: evaluations sample from logits + decoding_beta × (min Q − V). */
      decoding_beta: Type.Optional(Type.Number({ minimum: 0 })),
      /** Most sequences that are decoded at once. */
      max_batch: Type.Integer({ minimum: 1, default: 64 })
    }),
    rewards: Type.Array(RewardSchema, { default: [] }),
    /**
     * `preset` is a named algorithm, or `sft`: next-token loss on the assistant's turns. Other keys change the preset;
     * baseline, scale, clip_low and clip_high may stand here without their section (advantage, loss).
     * A preset of preferences (dpo, ipo, orpo, simpo, kto, …) learns from comparisons of a group's completions: `pairs`
     * (best_worst, all, adjacent) and `min_margin` say which; for kto, `threshold` (a score, or group_mean) does.
     * `ilql` learns Q values of tokens from the data's judged answers: gamma, tau, cql_scale, awac_scale, beta, alpha,
     * steps_for_target_q_sync and two_qs as in trlx; scale_rewards, stop_gradient, head_learning_rate.
     */
    algorithm: Type.Object(
      { preset: Type.String({ ...name, default: 'grpo' }) },
      { additionalProperties: Type.Unknown(), default: {}, description: 'such as { preset: grpo }' }
    ),
    /** Shaping of the reward; default: none. */
    reward: Type.Optional(ShapingSchema),
    /**
     * Correction for completions that were sampled from another distribution than the loss is of (top_p, top_k, min_p,
     * repetition_penalty): `preset` (off, verl_decoupled_token_is, trl_sequence_mask, openrlhf_token_mask, …) and keys
     * that change it (importance, rejection, old_log_probs, …). Default: off.
     */
    off_policy: Type.Optional(
      Type.Object(
        { preset: Type.String({ ...name, default: 'off' }) },
        { additionalProperties: Type.Unknown(), description: 'such as { preset: verl_decoupled_token_is }' }
      )
    ),
    value: Type.Optional(ValueSchema),
    optimizer: section({
      learning_rate: Type.Number({ exclusiveMinimum: 0, default: 1e-4 }),
      schedule: choice(['constant', 'linear', 'cosine'] as const, { default: 'constant' }),
      /** Steps in which the learning rate rises from 0. */
      warmup_steps: Type.Integer({ minimum: 0, default: 0 }),
      /** The gradient's global norm is cut to this; 0 = never. */
      clip_norm: Type.Number({ minimum: 0, default: 1 }),
      weight_decay: Type.Number({ minimum: 0, default: 0 }),
      beta1: Type.Number({ minimum: 0, exclusiveMaximum: 1, default: 0.9 }),
      beta2: Type.Number({ minimum: 0, exclusiveMaximum: 1, default: 0.999 }),
      epsilon: Type.Number({ exclusiveMinimum: 0, default: 1e-8 })
    }),
    training: section({
      /** Steps of the whole run: a batch of items and the updates from it (iterations × mini_batches). */
      steps: Type.Integer({ minimum: 1, default: 100 }),
      /** Passes over each rollout; default: 1, of estimator gae 4. */
      iterations: Type.Optional(Type.Integer({ minimum: 1 })),
      /** Optimizer updates of a pass, each from a share of the prompts; default: 1. */
      mini_batches: Type.Optional(Type.Integer({ minimum: 1 })),
      /** Order of the data and the samples. */
      seed: Type.Integer({ minimum: 0, default: 1 }),
      /** What weights, gradients, optimizer, activations and KV cache may take together; default: what is free. */
      memory: Type.Optional(
        Type.Union([
          Type.Integer({ minimum: 1 }),
          Type.String({ pattern: sizePattern, description: 'a size such as 4GiB or 800MB' })
        ])
      ),
      /** A checkpoint every so many steps; the last step always has one. */
      save_every: Type.Integer({ minimum: 1, default: 50 }),
      /** Older checkpoints are removed. */
      keep: Type.Integer({ minimum: 1, default: 2 })
    }),
    evaluation: section({
      /** An evaluation every so many steps, before the first and after the last; 0 = none. */
      every: Type.Integer({ minimum: 0, default: 0 }),
      /** The first so many items of data.test. */
      items: Type.Integer({ minimum: 1, default: 100 }),
      /** 0 = greedy. */
      temperature: Type.Number({ minimum: 0, default: 0 })
    }),
    /**
     * Of all judges together: a call that no longer fits is not sent, the step that it was for is left undone, and the
     * run ends cleanly, with a checkpoint. `money` needs judges with a known price.
     */
    budget: Type.Object(BudgetSchema.properties, { additionalProperties: false, default: {} })
  },
  { additionalProperties: false }
)

export type RunConfig = Static<typeof RunSchema>
export type RewardConfig = RunConfig['rewards'][number]
