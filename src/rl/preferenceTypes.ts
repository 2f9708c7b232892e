/** A preference loss as data: one flat record, validated, written in YAML in snake_case. */
import { Type, type Static } from '@sinclair/typebox'
import { words } from './schema.js'

/** TypeBox schema of a {@link Preference}. Formulas: `preferenceLoss`. */
export const preferenceSchema = Type.Object(
  {
    preset: Type.String({ description: 'Name of the preset that the record came from.' }),
    kind: words(
      [
        ...(['sigmoid', 'hinge', 'ipo', 'robust', 'exo_pair', 'nca_pair', 'bco_pair', 'sppo_hard'] as const),
        ...(['apo_zero', 'apo_down', 'aot', 'aot_unpaired', 'discopop', 'orpo', 'kto', 'bradley_terry'] as const)
      ],
      'The loss of one pair; kto: of one completion; bradley_terry: of a reward model’s two scores.'
    ),
    reference: Type.Boolean({ description: 'Scores are log ratios to a reference (DPO), or plain log-probs (CPO).' }),
    divergence: words(
      ['reverse_kl', 'forward_kl', 'js_divergence', 'alpha_divergence'],
      'The f-divergence whose derivative makes a score of a log ratio z: z, 1 − e^−z, log(2σ(z)), (e^((α−1)z) − 1)/(α−1).'
    ),
    divergenceAlpha: Type.Number({ description: 'α of alpha_divergence; AlphaPO’s alpha is 1 − α.' }),
    lengthNormalization: words(
      ['none', 'log_prob', 'score'],
      'Per token: nothing; the log-probs, before all else (SimPO); the score, after the divergence (TRL’s ipo).'
    ),
    beta: Type.Number({ exclusiveMinimum: 0, description: 'Scale of the scores; orpo: weight of the odds term.' }),
    labelSmoothing: Type.Number({
      minimum: 0,
      exclusiveMaximum: 1,
      description: 'Chance that a pair is the wrong way round.'
    }),
    targetMargin: Type.Number({ description: 'Subtracted from β(chosen − rejected): SimPO’s gamma.' }),
    temperature: Type.Number({ exclusiveMinimum: 0, description: 'discopop: τ of the blend.' }),
    nllCoefficient: Type.Number({ minimum: 0, description: 'Of the mean token loss on the chosen completions.' }),
    centerCoefficient: Type.Number({ minimum: 0, description: 'Of the mean of (chosen + rejected score)².' }),
    desirableWeight: Type.Number({ minimum: 0, description: 'kto: weight of a desirable completion’s loss.' }),
    undesirableWeight: Type.Number({ minimum: 0, description: 'kto: weight of an undesirable completion’s loss.' })
  },
  { additionalProperties: false }
)

/** A preference loss, complete. Built by `resolvePreference`; every field is described in {@link preferenceSchema}. */
export type Preference = Static<typeof preferenceSchema>

/** What a user gives: a preset's name, or a record that changes fields of a preset (default `dpo`). */
export type PreferenceOptions = string | Partial<Preference> | Record<string, unknown>
