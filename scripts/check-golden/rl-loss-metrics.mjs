// The peers' names of what a policy loss reports, and ours.

/** verl's shares of stopped tokens differ by loss: the first is of the clip, the second of its dual. */
const verlShares = {
  vanilla: ['clip_ratio/token_mean', 'clip_ratio/dual_mean'],
  gspo: ['clip_ratio/token_mean'],
  bypass_mode: ['clip_ratio/token_mean', 'clip_ratio/dual_mean'],
  cispo: ['clip_ratio/bound_mean'],
  dppo_tv: ['clip_ratio/token_mean', 'clip_ratio/dual_mean'],
  dppo_kl: ['clip_ratio/token_mean', 'clip_ratio/dual_mean'],
  clip_cov: ['covariance/selected_mean']
}

function verlMetrics({ loss }, expected, metrics) {
  const [share, dual] = verlShares[loss] ?? []
  const oldKl = loss === 'kl_cov' ? 'old_kl/absolute' : 'old_kl/bounded'
  const triples = [
    ['actor/ppo_kl', metrics[oldKl], expected['actor/ppo_kl']],
    ['actor/pg_clipfrac', metrics[share], expected['actor/pg_clipfrac']],
    ['actor/pg_clipfrac_lower', metrics[dual], expected['actor/pg_clipfrac_lower']]
  ]
  if (loss === 'geo_mean') {
    // Its two shares split the tokens outside the bounds by the sign of their advantage.
    const both = expected['actor/pg_clipfrac'] + expected['actor/pg_clipfrac_lower']
    triples.push(['actor/pg_clipfrac + lower', metrics['clip_ratio/bound_mean'], both])
  }
  return triples
}

const trlNames = {
  'clip_ratio/low_mean': 'clip_ratio/low_mean',
  'clip_ratio/high_mean': 'clip_ratio/high_mean',
  'clip_ratio/region_mean': 'clip_ratio/region_mean',
  'clip_ratio/low_min': 'clip_ratio/low_min',
  'clip_ratio/high_max': 'clip_ratio/high_max',
  cispo_clip_ratio: 'clip_ratio/high_mean',
  'vespo/phi_seq_mean': 'vespo/phi_seq_mean',
  kl: 'kl',
  entropy: 'entropy'
}

function trlMetrics({ gradient_accumulation_steps: accumulation = 1 }, inputs, expected, metrics) {
  const triples = Object.entries(trlNames)
    .filter(([theirs]) => theirs !== 'kl' || inputs.ref_log_probs)
    .filter(([theirs]) => theirs !== 'entropy' || inputs.entropies)
    .map(([theirs, ours]) => [theirs, metrics[ours], expected[theirs]])
  return [...triples, ['policy_loss', metrics.policy_loss * accumulation, expected.policy_loss]]
}

/** [peer's name, ours, expected] of all metrics that both report. */
export function lossMetrics({ source, parameters, inputs, outputs }, metrics) {
  const expected = outputs.metrics ?? {}
  const triples = source.startsWith('verl')
    ? verlMetrics(parameters, expected, metrics)
    : source.startsWith('trl')
      ? trlMetrics(parameters, inputs, expected, metrics)
      : [
          ['clip_ratio', metrics['clip_ratio/token_mean'], expected.clip_ratio],
          ['ppo_kl', metrics.old_kl, expected.ppo_kl]
        ]
  return triples.filter(([, ours, theirs]) => ours !== undefined && theirs !== undefined)
}
