/** Anthropic's message batches: requests go up in one body, results come back as lines in any order. */
import type { MessageBatch, MessageBatchIndividualResponse } from '@anthropic-ai/sdk/resources/messages/batches'
import type { HttpClient } from '../client.js'
import { inTime, type BatchOutcome, type BatchService } from './service.js'

const prefix = '/v1/messages/batches'

/** The status that a call of its own would have had. */
const statuses: Record<string, number> = {
  invalid_request_error: 400,
  authentication_error: 401,
  billing_error: 402,
  permission_error: 403,
  not_found_error: 404,
  request_too_large: 413,
  rate_limit_error: 429,
  overloaded_error: 529
}

export function anthropicBatches(client: HttpClient): BatchService {
  return {
    submit: async (requests) => {
      const body = requests.map(({ id, body: params }) => `{"custom_id":${JSON.stringify(id)},"params":${params}}`)
      const { text } = await client.send({
        path: prefix,
        body: `{"requests":[${body.join(',')}]}`,
        signal: inTime()
      })
      return (JSON.parse(text) as MessageBatch).id
    },
    state: async (id) => {
      const { text } = await client.send({ path: `${prefix}/${encodeURIComponent(id)}`, signal: inTime() })
      return { ended: (JSON.parse(text) as MessageBatch).processing_status === 'ended' }
    },
    results: (id, take) =>
      client.lines({ path: `${prefix}/${encodeURIComponent(id)}/results`, signal: inTime() }, (text) => {
        const { custom_id: request, result } = JSON.parse(text) as MessageBatchIndividualResponse
        take(request, outcomeOf(result))
      }),
    close: () => client.close()
  }
}

function outcomeOf(result: MessageBatchIndividualResponse['result']): BatchOutcome {
  if (result.type === 'succeeded') return { status: 200, value: result.message }
  if (result.type === 'errored') {
    const { error } = result
    return { status: statuses[error.error.type] ?? 500, value: error }
  }
  // What the batch did not get to is worth another try; what someone cancelled is not.
  return result.type === 'expired'
    ? { status: 408, value: { error: 'the batch expired before this request' } }
    : { status: 400, value: { error: 'the batch was cancelled' } }
}
