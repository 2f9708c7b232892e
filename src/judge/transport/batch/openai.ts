/** OpenAI's batches: a file of requests goes up, a file of results and perhaps one of errors come back. */
import type { Batch } from 'openai/resources/batches'
import type { HttpClient } from '../client.js'
import { inTime, type BatchOutcome, type BatchRequest, type BatchService, type BatchState } from './service.js'

interface ResultLine {
  custom_id?: string
  response?: { status_code?: number; body?: unknown } | null
  error?: { code?: string; message?: string } | null
}

export function openaiBatches(client: HttpClient): BatchService {
  const get = async <T>(path: string): Promise<T> =>
    JSON.parse((await client.send({ path, signal: inTime() })).text) as T
  const batch = (id: string): Promise<Batch> => get<Batch>(`/batches/${encodeURIComponent(id)}`)

  const upload = async (requests: BatchRequest[]): Promise<string> => {
    const lines = requests.map(
      ({ id, path, body }) =>
        `{"custom_id":${JSON.stringify(id)},"method":"POST","url":${JSON.stringify(`/v1${path}`)},"body":${body}}\n`
    )
    const boundary = `adjudge-${requests[0]!.id}`
    const part = (name: string, rest: string): string =>
      `--${boundary}\r\ncontent-disposition: form-data; name="${name}"${rest}\r\n`
    const body =
      `${part('purpose', '\r\n')}batch\r\n` +
      `${part('file', '; filename="requests.jsonl"\r\ncontent-type: application/jsonl\r\n')}${lines.join('')}\r\n--${boundary}--\r\n`
    const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` }
    return (JSON.parse((await client.send({ path: '/files', body, headers, signal: inTime() })).text) as { id: string })
      .id
  }

  return {
    submit: async (requests, mark, again) => {
      const known = again ? (await get<{ data?: Batch[] }>('/batches?limit=100')).data : undefined
      const before = known?.find((one) => one.metadata?.adjudge === mark)
      if (before) return before.id
      const file = await upload(requests)
      const body = JSON.stringify({
        input_file_id: file,
        endpoint: `/v1${requests[0]!.path}`,
        completion_window: '24h',
        metadata: { adjudge: mark }
      })
      return (JSON.parse((await client.send({ path: '/batches', body, signal: inTime() })).text) as Batch).id
    },
    state: async (id): Promise<BatchState> => {
      const { status, errors } = await batch(id)
      if (status === 'failed') {
        return { ended: true, failure: errors?.data?.map(({ message }) => message).join('; ') || 'the batch failed' }
      }
      return { ended: status === 'completed' || status === 'expired' || status === 'cancelled' }
    },
    results: async (id, take) => {
      const { output_file_id: output, error_file_id: errors } = await batch(id)
      for (const file of [output, errors]) {
        if (!file) continue
        const content = `/files/${encodeURIComponent(file)}/content`
        await client.lines({ path: content, signal: inTime() }, (text) => {
          const line = JSON.parse(text) as ResultLine
          if (typeof line.custom_id === 'string') take(line.custom_id, outcomeOf(line))
        })
      }
    },
    close: () => client.close()
  }
}

function outcomeOf({ response, error }: ResultLine): BatchOutcome {
  if (response) return { status: response.status_code ?? 200, value: response.body }
  // What the batch did not get to is worth another try.
  return { status: error?.code === 'batch_expired' ? 408 : 500, value: { error: error ?? 'no response' } }
}
