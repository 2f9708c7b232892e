/** A server that follows OpenAI's chat completions, by name. */
import { AdjudgeError } from '../../errors.js'
import { chatFormat, openaiDialect } from './openai/chat.js'
import { serverPresetNames, serverPresets, type ServerPreset } from './presets.js'
import { apiKeyOf, serverOf, type ProviderOptions } from './shared.js'
import type { WireFormat } from './wire.js'

export function openaiCompatibleFormat(options: ProviderOptions): WireFormat {
  const preset = presetOf(options)
  const baseURL = addressOf(options, preset)
  const key = apiKeyOf(options, preset.key, options.baseURL !== undefined || preset.keyless === true)
  const header = preset.keyHeader ?? 'authorization'
  return chatFormat({
    name: `openai_compatible${options.preset === undefined ? '' : ` ${options.preset}`}`,
    model: options.model,
    baseURL,
    // One name stands for many servers: each is part of the ledger's key.
    ownServer: true,
    headers: key === undefined ? {} : { [header]: preset.keyHeader === undefined ? `Bearer ${key}` : key },
    secrets: key === undefined ? [] : [key],
    dialect: preset,
    ...pathOf(options, preset),
    ...(options.extraBody ? { extraBody: options.extraBody } : {})
  })
}

function presetOf({ preset }: ProviderOptions): ServerPreset {
  if (preset === undefined) return { ...openaiDialect, limit: 'max_tokens', key: 'OPENAI_API_KEY' }
  if (Object.hasOwn(serverPresets, preset)) return serverPresets[preset as keyof typeof serverPresets]
  throw new AdjudgeError(
    'JUDGE_INVALID',
    `judge: preset is ${JSON.stringify(preset)}; expected one of ${serverPresetNames.join(', ')}`
  )
}

/** Where a preset's server is, for a look whether it answers; undefined where only the customer knows. */
export const presetAddress = (preset: string | undefined): string | undefined =>
  preset !== undefined && Object.hasOwn(serverPresets, preset)
    ? (serverPresets[preset as keyof typeof serverPresets] as ServerPreset).baseURL
    : undefined

function addressOf(options: ProviderOptions, preset: ServerPreset): string {
  const address = preset.addressVariable
    ? serverOf(options, preset.addressVariable)
    : (options.baseURL ?? preset.baseURL)
  if (address) return address
  const variable = preset.addressVariable ? ` or the environment variable ${preset.addressVariable}` : ''
  throw new AdjudgeError(
    'JUDGE_INVALID',
    `judge: provider openai_compatible needs baseURL${variable}${options.preset === undefined ? `, or a preset (${serverPresetNames.join(', ')})` : ''}`
  )
}

function pathOf(options: ProviderOptions, { deployments }: ServerPreset): { path?: string } {
  if (!deployments) return {}
  const version = options.apiVersion ?? process.env[deployments.versionVariable] ?? deployments.apiVersion
  const model = encodeURIComponent(options.model)
  return { path: `${deployments.prefix}/${model}/chat/completions?api-version=${encodeURIComponent(version)}` }
}
