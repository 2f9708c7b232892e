/** The heads of a run of ilql: V, Q of every token, and their target networks. */
import type { Policy } from '../policy/policy.js'
import type { QTraining } from './qConfig.js'

/** The online heads and their target networks. */
export const qHeads = (twoQs: boolean): [string, string][] =>
  twoQs
    ? [
        ['q', 'target_q'],
        ['twin_q', 'twin_target_q']
      ]
    : [['q', 'target_q']]

/** Of PyTorch's start: what a head has not learned of yet must not sway the decoding, yet twins must begin apart. */
const spread = 0.02

/** New heads: V at 0, the Qs near 0, and each target network as a copy. */
export async function addQHeads(policy: Policy, { twoQs, stopGradient }: QTraining, seed: number): Promise<void> {
  await policy.addHead('value', { stopGradient })
  for (const [index, [online, target]] of qHeads(twoQs).entries()) {
    await policy.addHead(online, { outputs: 'vocabulary', init: spread, seed: 2 * seed + index, stopGradient })
    await policy.addHead(target, { outputs: 'vocabulary', trainable: false })
    await policy.blendHead(target, online, 1)
  }
}
