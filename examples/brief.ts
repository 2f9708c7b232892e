/** A reward function for run.yaml (`function: ./brief.ts`): a number, null (unscored), or { score, … }. */
import type { JudgeFunction } from 'adjudge'

const brief: JudgeFunction = ({ completion }) => (completion.text.length <= 100 ? 1 : 0)
export default brief
