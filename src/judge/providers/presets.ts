/** Servers that follow OpenAI's chat completions, and in what they differ. All the knowledge about them is here. */
import { openaiDialect, type Dialect } from './openai/chat.js'

export interface ServerPreset extends Dialect {
  /** Absent: the address depends on the customer, and stands in `addressVariable` or in the judge's baseURL. */
  baseURL?: string
  addressVariable?: string
  /** Environment variable of the key. */
  key: string
  /** A server on one's own machine needs no key. */
  keyless?: true
  /** Header of the key; default: `authorization: Bearer …`. */
  keyHeader?: string
  /** Azure: the model (a deployment) stands in the path, the version of the interface in the query. */
  deployments?: { prefix: string; apiVersion: string; versionVariable: string }
}

const own: Dialect = { ...openaiDialect, limit: 'max_tokens' }

export const serverPresets = {
  // Since 0.12 `structured_outputs`, before `guided_json`; `response_format` in all.
  vllm: {
    ...own,
    baseURL: 'http://127.0.0.1:8000/v1',
    key: 'VLLM_API_KEY',
    keyless: true,
    structured: ['json_schema', 'structured_outputs', 'guided_json', 'json_object']
  },
  sglang: { ...own, baseURL: 'http://127.0.0.1:30000/v1', key: 'SGLANG_API_KEY', keyless: true },
  llama_cpp: { ...own, baseURL: 'http://127.0.0.1:8080/v1', key: 'LLAMA_API_KEY', keyless: true },
  lm_studio: {
    ...own,
    baseURL: 'http://127.0.0.1:1234/v1',
    key: 'LM_STUDIO_API_KEY',
    keyless: true,
    structured: ['json_schema']
  },
  openrouter: { ...own, baseURL: 'https://openrouter.ai/api/v1', key: 'OPENROUTER_API_KEY' },
  // Refuses requests that hold log-probs.
  groq: { ...openaiDialect, baseURL: 'https://api.groq.com/openai/v1', key: 'GROQ_API_KEY', topLogProbs: 0 },
  // Its log-probs are a number and come back in a form of its own.
  together: { ...own, baseURL: 'https://api.together.xyz/v1', key: 'TOGETHER_API_KEY', topLogProbs: 0 },
  mistral: {
    ...own,
    baseURL: 'https://api.mistral.ai/v1',
    key: 'MISTRAL_API_KEY',
    topLogProbs: 0,
    seed: 'random_seed'
  },
  gemini: {
    ...own,
    baseURL: 'https://generativelanguage.googleapis.com/v1beta/openai',
    key: 'GEMINI_API_KEY',
    topLogProbs: 0
  },
  azure: {
    ...openaiDialect,
    addressVariable: 'AZURE_OPENAI_ENDPOINT',
    key: 'AZURE_OPENAI_API_KEY',
    keyHeader: 'api-key',
    deployments: { prefix: '/openai/deployments', apiVersion: '2024-10-21', versionVariable: 'OPENAI_API_VERSION' }
  }
} as const satisfies Record<string, ServerPreset>

export type ServerPresetName = keyof typeof serverPresets

export const serverPresetNames = Object.keys(serverPresets) as ServerPresetName[]
