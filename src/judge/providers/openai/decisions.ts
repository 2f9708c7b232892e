/** OpenAI's decisions: typed questions about one input, answered by probabilities. Nothing is parsed, nothing sampled. */
import type { Decision, DecisionCreateParams } from 'openai/resources/decisions'
import { AdjudgeError } from '../../../errors.js'
import { answerFrom } from '../../distribution.js'
import { choicesOf, type Answers, type Field } from '../../question.js'
import type { ProviderReply } from '../provider.js'
import type { WireFormat } from '../wire.js'
import type { ChatWire } from './chat.js'
import { inputParts } from './responses.js'

/** Levels of a score question, and choices of a choice question, at most. */
const mostLevels = 10
const mostChoices = 255

/** Throws JUDGE_INVALID on fields that cannot be asked for. */
export function checkDecisionFields(fields: Field[], reasoning: boolean): void {
  const invalid = (what: string): AdjudgeError => new AdjudgeError('JUDGE_INVALID', `judge: api decisions ${what}`)
  if (reasoning) throw invalid('gives probabilities and no reasoning; set the rubric to `reasoning: none`')
  for (const field of fields) {
    const choices = choicesOf(field)?.length ?? Infinity
    if (field.kind === 'number' && choices > mostLevels) {
      throw invalid(`needs a scale of whole numbers with at most ${mostLevels} steps for ${field.name}; e.g. 1 to 5`)
    }
    if (field.kind === 'label' && (choices < 2 || choices > mostChoices)) {
      throw invalid(`needs 2 to ${mostChoices} labels for ${field.name}; it has ${choices}`)
    }
  }
}

export function decisionsFormat(wire: Omit<ChatWire, 'dialect' | 'path'>): WireFormat {
  return {
    name: wire.name,
    baseURL: wire.baseURL,
    ownServer: wire.ownServer,
    headers: wire.headers,
    secrets: wire.secrets,
    request: ({ messages, fields }) => {
      const body: DecisionCreateParams = {
        model: wire.model,
        input: messages.map(({ role, content }) => ({
          role: role === 'tool' ? 'user' : role,
          content: inputParts(content)
        })) as DecisionCreateParams['input'],
        questions: fields.map(questionOf)
      }
      return { path: '/decisions', body: JSON.stringify({ ...body, ...wire.extraBody }) }
    },
    read: (reply, { fields }) => readDecision(reply as Partial<Decision> | null, fields)
  }
}

function questionOf(field: Field): DecisionCreateParams['questions'][number] {
  const { name } = field
  if (field.kind === 'boolean') return { type: 'predicate', name, instructions: field.description ?? name }
  if (field.kind === 'label') {
    return {
      type: 'choice',
      name,
      instructions: field.description ?? 'Choose the label that fits best.',
      choices: field.labels.map((value) => ({ value }))
    }
  }
  return {
    type: 'score',
    name,
    instructions: field.description ?? 'Give the score that the rubric asks for.',
    levels: choicesOf(field)!.map(({ label }) => ({ label }))
  }
}

function readDecision(decision: Partial<Decision> | null, fields: Field[]): ProviderReply {
  const given = Array.isArray(decision?.answers) ? decision.answers : []
  const common = {
    text: JSON.stringify(given),
    usage: {
      inputTokens: decision?.usage?.input_tokens ?? 0,
      outputTokens: decision?.usage?.output_tokens ?? 0
    }
  }
  const answers: Answers = {}
  for (const [index, field] of fields.entries()) {
    const answer = given[index]
    if (answer?.type === 'refusal') {
      return { ...common, finishReason: 'refusal', refusal: `the judge declined to answer ${field.name}` }
    }
    const distribution = spreadOf(field, answer)
    // Left to the parser, which will not find the field in it and say so.
    if (!distribution) return { ...common, finishReason: 'other' }
    answers[field.name] = answerFrom(field, { distribution, mass: 1 })
  }
  return { ...common, answers, finishReason: 'stop' }
}

/** Label → probability, where the answer is of the right kind and holds a probability for each of the field's values. */
function spreadOf(field: Field, answer: Decision['answers'][number] | undefined): Record<string, number> | undefined {
  if (!answer || answer.type === 'refusal') return undefined
  const pairs: [string, number][] =
    answer.type === 'predicate'
      ? [
          ['true', answer.probability],
          ['false', 1 - answer.probability]
        ]
      : answer.probabilities.map((entry) => ['label' in entry ? entry.label : String(entry.value), entry.probability])
  const known = new Map(pairs)
  const labels = choicesOf(field)!.map(({ label }) => label)
  if (!labels.every((label) => (known.get(label) ?? NaN) >= 0)) return undefined
  const total = labels.reduce((sum, label) => sum + known.get(label)!, 0)
  return total > 0 ? Object.fromEntries(labels.map((label) => [label, known.get(label)! / total])) : undefined
}
