/** Makes judges of judges: opens what the members share, and the members. */
import { AdjudgeError } from '../../errors.js'
import { openBudgets, type Budget } from '../budget.js'
import { Ledger } from '../ledger/ledger.js'
import type { JudgeOptions } from '../options.js'
import type { Judge } from '../types.js'
import { Cascade } from './cascade.js'
import type { ComposedJudge } from './composed.js'
import { checkCascade, checkPanel, isJudge, type CascadeOptions, type JudgeSpec, type PanelOptions } from './options.js'
import { Panel } from './panel.js'

/** Throws JUDGE_INVALID, and what making the members throws. `create` makes a member of its options. */
export async function openComposed(
  options: PanelOptions | CascadeOptions,
  create: (member: JudgeSpec) => Promise<Judge>
): Promise<Judge> {
  const panel = 'panel' in options
  if (panel && 'cascade' in options) {
    throw new AdjudgeError('JUDGE_INVALID', 'judge: panel and cascade are both given; expected one (they nest)')
  }
  const specs = panel ? options.panel : options.cascade
  if (panel) checkPanel(options, specs.length)
  else checkCascade(options, specs.length)
  const opened: (() => Promise<void>)[] = []
  const close = async (): Promise<void> => {
    for (const one of opened.splice(0).reverse()) await one()
  }
  try {
    const ledger = typeof options.ledger === 'string' ? Ledger.open(options.ledger) : options.ledger
    if (ledger && typeof options.ledger === 'string') opened.push(() => ledger.close())
    const budgets = openBudgets(options.budget, ledger, opened)
    const members: Judge[] = []
    for (const spec of specs) {
      if (isJudge(spec)) {
        // A judge at hand belongs to whoever made it.
        members.push(spec)
        continue
      }
      const member = await create(withShared(spec, ledger, budgets))
      opened.push(() => member.close())
      members.push(member)
    }
    const judge: ComposedJudge = panel
      ? new Panel(options.name ?? 'panel', members, options)
      : new Cascade(options.name ?? 'cascade', members, options)
    judge.owns(close)
    return judge
  } catch (error) {
    await close()
    throw error
  }
}

function withShared(spec: JudgeSpec, ledger: Ledger | undefined, budgets: readonly Budget[]): JudgeSpec {
  const own = spec.budget === undefined ? [] : [spec.budget].flat()
  const shared: Pick<JudgeOptions, 'ledger' | 'budget'> = {
    ...(ledger && spec.ledger === undefined ? { ledger } : {}),
    ...(budgets.length + own.length > 0 ? { budget: [...budgets, ...own] } : {})
  }
  return { ...spec, ...shared }
}
