// The critic's loss: the peers' parameters as our record.
import { boundaries, flat, maskOf } from './rl-cases.mjs'
import { verlNormaliser } from './rl-losses.mjs'

export function mapValueCase({ source, parameters, inputs, outputs }) {
  const mode = parameters.loss_agg_mode ?? (parameters.token_level_loss ? 'token-mean' : 'seq-mean-token-mean')
  const { record, input } = verlNormaliser(mode, parameters, inputs.mask)
  const clip = (source.startsWith('verl') ? parameters.cliprange_value : parameters.clip_eps) ?? null
  return ({ resolveValue, valueLoss }) => {
    const result = valueLoss(resolveValue({ ...record, tokenEpsilon: 1e-8, countEmptyRows: false, clip }), {
      values: flat(inputs.values),
      oldValues: flat(inputs.old_values),
      returns: flat(inputs.returns),
      mask: maskOf(inputs.mask),
      cuSeqlens: boundaries(inputs.mask.length, inputs.mask[0].length),
      ...input
    })
    const fraction = outputs.metrics?.vf_clipfrac
    return {
      values: [
        ['loss', result.loss, outputs.loss],
        ['grad_values', result.valueGradients, outputs.grad_values.flat()]
      ],
      metrics: fraction === undefined ? [] : [['vf_clipfrac', result.metrics.vf_clipfrac, fraction]]
    }
  }
}
