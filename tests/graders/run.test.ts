import { afterEach, describe, expect, it, vi } from 'vitest'
import { runGrader, validateGrader, type GraderRunErrors, type GraderSpec } from '../../src/graders/index.js'
import { startServer, type Answer, type TestServer } from '../judge/server.js'

const right: GraderSpec = {
  type: 'string_check',
  name: 'right',
  input: '{{ sample.output_text }}',
  reference: '{{ item.label }}',
  operation: 'eq'
}
const model: GraderSpec = {
  type: 'score_model',
  name: 'good',
  model: 'judge-1',
  input: [{ role: 'user', content: 'Grade {{ sample.output_text }}.' }]
}
const multi = (graders: unknown, calculate_output: string): GraderSpec => ({
  type: 'multi',
  name: 'both',
  graders,
  calculate_output
})

/** The names of the errors that are said, without the details. */
const said = (errors: GraderRunErrors): string[] =>
  Object.entries(errors)
    .filter(([, value]) => value === true)
    .map(([name]) => name)

describe('runGrader', () => {
  let server: TestServer | undefined
  afterEach(async () => {
    await server?.close()
    server = undefined
    vi.unstubAllEnvs()
  })
  const options = async (answer: Answer): Promise<{ judge: { baseURL: string; attempts: number } }> => {
    server = await startServer(() => answer)
    return { judge: { baseURL: server.url, attempts: 1 } }
  }

  it("replies in OpenAI's form", async () => {
    const spec = multi({ right, good: model }, '0.5 * right + good')
    const reply = await runGrader(
      spec,
      { item: { label: 'yes' }, sample: 'yes' },
      await options({ content: '{"steps": [{"description": "looked", "conclusion": "fair"}], "result": 0.25}' })
    )
    expect(reply).toEqual({
      reward: 0.75,
      sub_rewards: { right: 1, good: 0.25 },
      model_grader_token_usage_per_model: {
        'judge-1': { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 }
      },
      metadata: {
        name: 'both',
        type: 'multi',
        execution_time: expect.any(Number) as number,
        scores: { right: 1, good: 0.25 },
        token_usage: 110,
        sampled_model_name: 'judge-1',
        errors: {
          formula_parse_error: false,
          sample_parse_error: false,
          truncated_observation_error: false,
          unresponsive_reward_error: false,
          invalid_variable_error: false,
          other_error: false,
          python_grader_server_error: false,
          python_grader_server_error_type: null,
          python_grader_runtime_error: false,
          python_grader_runtime_error_details: null,
          model_grader_server_error: false,
          model_grader_server_error_details: null,
          model_grader_refusal_error: false,
          model_grader_parse_error: false
        }
      }
    })
  })

  const javascript = (source: string): GraderSpec => ({ type: 'javascript', source })
  it.each([
    [right, 'yes', ['invalid_variable_error']],
    [{ ...right, input: '{{ sample.output_json.a }}' }, 'no JSON', ['sample_parse_error']],
    [{ ...right, input: '{{ sample.output_json.a }}' }, '{"b": 1}', ['invalid_variable_error']],
    [multi({ right }, '2 * rihgt'), 'yes', ['formula_parse_error']],
    [multi({ a: javascript('function grade() { return 0 }') }, '1 / a'), 'yes', ['other_error']],
    [javascript('function grade() { throw new Error("broken") }'), 'yes', ['python_grader_runtime_error']]
  ])('%# names the error and gives no reward', async (spec, sample, errors) => {
    const reply = await runGrader(spec as GraderSpec, { sample: sample as string })
    expect(reply.reward).toBeNull()
    expect(said(reply.metadata.errors)).toEqual(errors)
  })

  it.each<[Answer, string]>([
    [{ status: 400, error: 'bad model' }, 'model_grader_server_error'],
    [{ content: '', refusal: 'I will not.' }, 'model_grader_refusal_error'],
    [{ content: 'lovely' }, 'model_grader_parse_error'],
    [{ content: '{"result": 2}' }, 'model_grader_parse_error']
  ])('%j of a model', async (answer, error) => {
    const reply = await runGrader(model, { sample: 'x' }, await options(answer))
    expect(reply.reward).toBeNull()
    expect(said(reply.metadata.errors)).toEqual([error])
    if (error === 'model_grader_server_error') {
      expect(reply.metadata.errors.model_grader_server_error_details).toContain('bad model')
    }
  })

  it('tells the fault that invalid_grade stood in for', async () => {
    const spec = { ...multi({ right }, 'right'), invalid_grade: 0.5 }
    const reply = await runGrader(spec, { sample: 'x' })
    expect(reply).toMatchObject({ reward: 0.5, sub_rewards: { right: null } })
    expect(said(reply.metadata.errors)).toEqual(['invalid_variable_error'])
  })

  it('takes what else is known of the sample', async () => {
    const spec = { ...right, input: '{{ sample.output_tools[0].function.name }}' }
    const sample = { output_text: '', output_tools: [{ type: 'function', function: { name: 'look' } }] }
    expect(await runGrader(spec, { item: { label: 'look' }, sample })).toMatchObject({ reward: 1 })
  })

  it('throws on a specification that is wrong', async () => {
    await expect(runGrader({ ...right, operation: 'same' }, { sample: 'x' })).rejects.toMatchObject({
      code: 'GRADER_INVALID'
    })
  })
})

describe('validateGrader', () => {
  it('gives a good one back, and needs no key for it', async () => {
    vi.stubEnv('OPENAI_API_KEY', '')
    vi.stubEnv('ADJUDGE_SECRETS', undefined)
    vi.stubEnv('XDG_CONFIG_HOME', '/nonexistent')
    const cosine = { ...right, type: 'text_similarity', evaluation_metric: 'cosine' }
    for (const spec of [right, model, cosine, multi({ right, good: model }, 'right + good')]) {
      expect(await validateGrader(spec)).toEqual({ grader: spec })
    }
  })

  it.each([
    [multi({ right }, 'right +'), /calculate_output/],
    [{ ...model, model: undefined }, /model is missing/],
    [{ ...model, sampling_params: { top_p: 2 } }, /top_p is 2/]
  ])('%# is refused', async (spec, message) => {
    await expect(validateGrader(spec as GraderSpec)).rejects.toThrow(message)
  })
})
