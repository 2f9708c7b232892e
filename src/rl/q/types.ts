/** A Q-learning algorithm as data: what Q is drawn towards, and by which losses. */
import { Type, type Static } from '@sinclair/typebox'
import type { Partially } from '../types.js'
import { words } from '../schema.js'

const strict = { additionalProperties: false } as const
const share = { minimum: 0, maximum: 1 }

const targets = Type.Object(
  {
    bootstrap: words(
      ['max', 'double', 'soft', 'value'],
      'Value of the next state: largest Q (DQN); target Q at the online network’s choice; temperature · log Σ exp(Q / temperature); V.'
    ),
    gamma: Type.Number({ ...share, description: 'Discount per step.' }),
    steps: Type.Integer({ minimum: 1, description: 'n of the n-step return.' }),
    lambda: Type.Union([Type.Number(share), Type.Null()], {
      description: 'λ-return to the end of the trajectory; null = n-step.'
    }),
    trace: words(
      ['peng', 'watkins'],
      'λ-return: over every action, or cut where the next action is not the greedy one.'
    ),
    temperature: Type.Number({ exclusiveMinimum: 0, description: 'Of the soft bootstrap.' })
  },
  strict
)

const loss = Type.Object(
  {
    td: words(
      ['squared', 'huber', 'quantile'],
      'Squared error (without ½), Huber, or quantile Huber over quantiles of the return (QR-DQN).'
    ),
    tdCoefficient: Type.Number({ minimum: 0 }),
    huberThreshold: Type.Number({ minimum: 0, description: 'δ of Huber, κ of the quantile loss (0 = no smoothing).' }),
    conservative: Type.Object(
      {
        coefficient: Type.Number({
          minimum: 0,
          description: 'Of CQL’s temperature · log Σ exp(Q / temperature) − Q(a).'
        }),
        temperature: Type.Number({ exclusiveMinimum: 0 })
      },
      strict
    ),
    value: Type.Object(
      {
        coefficient: Type.Number({ minimum: 0, description: 'Of the regression of V to the target Q.' }),
        expectile: Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1, description: '0.5 = mean; to 1 = max.' })
      },
      strict
    ),
    policy: Type.Object(
      {
        coefficient: Type.Number({ minimum: 0, description: 'Of −log-prob · exp(beta · (Q − V)).' }),
        beta: Type.Number({ minimum: 0, description: 'Inverse temperature of the extraction; 0 = plain cloning.' }),
        weightLimit: Type.Union([Type.Number({ exclusiveMinimum: 0 }), Type.Null()], {
          description: 'Largest weight; null = none.'
        })
      },
      strict
    )
  },
  strict
)

/** TypeBox schema of a {@link QAlgorithm} (camelCase keys; YAML writes the same keys in snake_case). */
export const qAlgorithmSchema = Type.Object(
  {
    preset: Type.String({ description: 'Name of the preset that the record came from.' }),
    targets,
    loss,
    target: Type.Object(
      {
        rate: Type.Number({ ...share, description: 'target += rate · (online − target); 1 = copy.' }),
        every: Type.Integer({ minimum: 1, description: 'Steps between updates of the target network.' })
      },
      strict
    )
  },
  strict
)

/** A Q-learning algorithm, complete. Built by `resolveQAlgorithm`; every field is described in {@link qAlgorithmSchema}. */
export type QAlgorithm = Static<typeof qAlgorithmSchema>

/** What a user gives: a preset's name, or a record that changes fields of a preset (default `dqn`). */
export type QAlgorithmOptions = string | Partially<QAlgorithm> | Record<string, unknown>
