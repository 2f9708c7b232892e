/** The judge's public face. */
export { agreementWithLabels, kappaOf, type Agreement, type PairLabel } from './agreement.js'
export { BaseJudge } from './baseJudge.js'
export { Budget, type BudgetOptions, type Limits } from './budget.js'
export type { Aggregate } from './compose/aggregate.js'
export { canaryWarning } from './compose/canaries.js'
export type { CascadeOptions, Escalate, JudgeSpec, PanelOptions } from './compose/options.js'
export { createJudge, openCaller } from './create.js'
export type { Caller } from './pipeline.js'
export { FunctionJudge } from './functionJudge.js'
export { bradleyTerry, type Game, type Ratings } from './modes/bradleyTerry.js'
export {
  modeNames,
  type GroupOptions,
  type Mode,
  type ModeContext,
  type ModeName,
  type ModeOptions,
  type TournamentOptions
} from './modes/index.js'
export { wilsonInterval, type Interval } from './intervals.js'
export type { Answers, Combined, Field, FieldAnswer, Question } from './question.js'
export { loadFunction, runFunction, type FunctionInput, type FunctionOutput, type JudgeFunction } from './function.js'
export {
  BudgetSchema,
  judgeOptionsFrom,
  JudgeConfigSchema,
  loadJudge,
  membersOf,
  type JudgeConfig,
  type SingleJudgeConfig
} from './config.js'
export { lintRubric, lintRules, type LintFinding, type LintRule } from './lint.js'
export { Ledger, ledgerFormat, type LedgerRecord, type LedgerStats } from './ledger/ledger.js'
export type { CallOptions, FallbackOptions, JudgeOptions, ProviderName, Transport } from './options.js'
export { providerNames, rewardProviders } from './options.js'
export { rewardShapes, type RewardShape } from './providers/http/shapes.js'
export { onnxEmbedder, type OnnxEmbedder, type OnnxEmbedderOptions } from './providers/onnx/embedder.js'
export type { OnnxOptions } from './providers/onnx/performer.js'
export { RewardJudge } from './rewardJudge.js'
export { checkDocument, checkObject, nearest, type Problem } from './document.js'
export { costOf, priceOf, priceTable, priceTableDate, type Price } from './prices.js'
export type { PromptTemplate } from './prompt.js'
export { serverPresetNames, type ServerPresetName } from './providers/presets.js'
export type { Provider, ProviderReply, ProviderRequest, ReplyToken } from './providers/provider.js'
export { registerProvider, type ProviderFactory } from './providers/registry.js'
export type { ProviderOptions } from './providers/shared.js'
export { questionsFor } from './questions.js'
export { VerdictSummary, type SummaryRecord } from './summary.js'
export type { HistogramRow } from './histogram.js'
export type { WireFormat, WireRequest } from './providers/wire.js'
export type { NativeScorer } from './providers/native.js'
export { probeProvider, type Reachable } from './reachable.js'
export { checkRubric, loadRubric, parseRubric, RubricSchema, type Criterion, type Rubric } from './rubric.js'
export type { Priority } from './schedule/queue.js'
export { StoredSpending } from './spending.js'
export { telemetry, type Telemetry, type TelemetryEvents } from './telemetry.js'
export type * from './types.js'
