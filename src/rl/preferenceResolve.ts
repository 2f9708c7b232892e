/** From a preset's name or a partial record (YAML's snake_case or camelCase) to a complete, validated preference loss. */
import { basePreference, preferencePresets } from './preferencePresets.js'
import { preferenceSchema, type Preference, type PreferenceOptions } from './preferenceTypes.js'
import { invalidRecord, resolveRecord, type RecordKind } from './record.js'

type Kind = Preference['kind']

const invalid = (message: string) => invalidRecord('preference', message)

const record: RecordKind<typeof preferenceSchema> = {
  kind: 'preference',
  schema: preferenceSchema,
  base: basePreference,
  presets: preferencePresets
}

/** Names of all presets. */
export const preferencePresetNames = Object.keys(preferencePresets)

/** Kinds that are a loss of β(chosen − rejected) − margin alone. */
const marginKinds: readonly Kind[] = ['sigmoid', 'hinge', 'robust', 'exo_pair', 'discopop', 'bradley_terry']
const smoothedKinds: readonly Kind[] = ['sigmoid', 'robust', 'exo_pair', 'aot', 'aot_unpaired', 'bradley_terry']
const divergenceKinds: readonly Kind[] = ['sigmoid', 'hinge', 'ipo', 'robust', 'exo_pair', 'discopop']

/** True where a margin per pair, or a target margin, has a meaning. */
export const takesMargins = (kind: Kind): boolean => marginKinds.includes(kind)

/** Combinations that have no meaning, each said with its cure. */
function checkMeaning(preference: Preference): Preference {
  const { kind, labelSmoothing, divergence, targetMargin, lengthNormalization } = preference
  const only = (field: string, kinds: readonly Kind[]) =>
    invalid(`"${field}" has no meaning for the kind ${kind}; it belongs to ${kinds.join(', ')}`)
  if (labelSmoothing > 0 && !smoothedKinds.includes(kind)) throw only('label_smoothing', smoothedKinds)
  if (targetMargin !== 0 && !takesMargins(kind)) throw only('target_margin', marginKinds)
  if (divergence !== 'reverse_kl' && !divergenceKinds.includes(kind)) throw only('divergence', divergenceKinds)
  if (kind === 'robust' && labelSmoothing >= 0.5) {
    throw invalid(`"label_smoothing" is ${labelSmoothing}; the kind robust divides by 1 − 2 × it: expected below 0.5`)
  }
  if (kind === 'exo_pair' && labelSmoothing === 0) {
    throw invalid('"label_smoothing" is 0; the kind exo_pair takes its logarithm: expected above 0, such as 0.001')
  }
  if (kind === 'orpo' && preference.reference) {
    throw invalid('"reference" is true; the kind orpo has odds and no reference: set it to false')
  }
  if (kind === 'kto' && !preference.reference) {
    throw invalid('"reference" is false; the kind kto has log ratios and a KL baseline: set it to true')
  }
  if ((kind === 'aot' || kind === 'aot_unpaired') && lengthNormalization === 'score') {
    throw invalid(`"length_normalization" is score; the kind ${kind} sorts log ratios: set it to none or log_prob`)
  }
  if (kind === 'kto' && preference.centerCoefficient > 0) throw invalid('"center_coefficient" needs pairs, not kto')
  if ((kind === 'kto' || kind === 'bradley_terry') && preference.nllCoefficient > 0) {
    throw invalid(
      `"nll_coefficient" needs the chosen completions’ tokens, which the kind ${kind} does not have: set it to 0`
    )
  }
  if (kind === 'bradley_terry' && (preference.reference || lengthNormalization !== 'none')) {
    throw invalid('the kind bradley_terry takes scores: set "reference" to false and "length_normalization" to none')
  }
  return preference
}

/**
 * Completes and validates a preference loss.
 * @param options a preset's name, or a record with changed fields (keys in snake_case or camelCase) whose `preset`
 *   says what they change; without `preset`, `dpo`.
 * @throws AdjudgeError `ALGORITHM_INVALID` for an unknown preset, key or value, with the nearest valid name, and for
 *   combinations without meaning.
 */
export function resolvePreference(options: PreferenceOptions = 'dpo'): Preference {
  return checkMeaning(resolveRecord(record, options))
}
