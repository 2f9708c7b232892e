/** Providers that are a format over HTTP: what is sent and what a reply means, apart from how bytes are moved. */
import { createHash } from 'node:crypto'
import { errorWithin, HttpClient } from '../transport/client.js'
import type { Features } from './features.js'
import { hasImages, loadImages } from './images.js'
import type { Provider, ProviderReply, ProviderRequest } from './provider.js'

export interface WireRequest {
  /** Appended to the server's address. */
  path: string
  headers?: Record<string, string>
  /** JSON. */
  body: string
}

export interface WireFormat {
  readonly name: string
  /** Address with the path that all requests share. */
  readonly baseURL: string
  /** Whether that is not the provider's own server. */
  readonly ownServer: boolean
  /** Sent with each request. */
  readonly headers: Record<string, string>
  /** Cut from everything that comes back. */
  readonly secrets: string[]
  readonly features?: Features
  /** Pure but for `features`; images of files are `data:` URLs by now. */
  request(request: ProviderRequest): WireRequest
  /** Takes any JSON: a proxy may answer 200 with anything at all. */
  read(reply: unknown, request: ProviderRequest): ProviderReply
  /** Default: JSON. Throws SyntaxError. */
  parse?(text: string): unknown
}

/** `concurrency`: calls in flight at once, at most; a few more, so that a repeated slow call need not wait. */
export function providerOver(format: WireFormat, concurrency = 8): Provider {
  const { name, baseURL, headers, secrets, features } = format
  const client = new HttpClient({ baseURL, headers, secrets, connections: concurrency + Math.ceil(concurrency / 8) })
  const once = async (request: ProviderRequest): Promise<ProviderReply> => {
    const reply = await client.send({ ...format.request(request), signal: request.stop ?? request.signal })
    const value = format.parse ? format.parse(reply.text) : (JSON.parse(reply.text) as unknown)
    const error = errorWithin(value, reply.headers)
    if (error) throw error
    const read = format.read(value, request)
    read.headers = reply.headers
    return read
  }
  return {
    name,
    limitKey: limitKeyOf(name, baseURL, secrets[0]),
    ...(format.ownServer ? { baseURL } : {}),
    call: async (given) => {
      const request = hasImages(given.messages) ? await withImages(given) : given
      return features ? features.negotiate(() => once(request)) : once(request)
    },
    close: () => client.close()
  }
}

async function withImages({ json: _, ...request }: ProviderRequest): Promise<ProviderRequest> {
  return { ...request, messages: await loadImages(request.messages) }
}

/** Names server and key without telling the key. */
export function limitKeyOf(provider: string, baseURL: string, key: string | undefined): string {
  const hash = createHash('sha256')
    .update(key ?? '')
    .digest('hex')
    .slice(0, 8)
  return `${provider} ${baseURL} ${hash}`
}
