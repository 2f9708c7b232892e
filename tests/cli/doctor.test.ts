import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { cli } from './cli.js'

describe('adjudge doctor', () => {
  it('shows the machine, and a server that answers or does not', async () => {
    const server = createServer((_, response) => response.end('{"data": []}'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
    const up = await cli('doctor', '--no-provider', '--base-url', url)
    expect(up.out).toMatch(/processor .* cores/)
    expect(up.out).toMatch(/memory .* GiB free of/)
    expect(up.out).toMatch(/gpu +\S+/)
    expect(up.out).toMatch(/ok .*server .*models answered 200/)
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
    const down = await cli('doctor', '--no-provider', '--base-url', url)
    expect(down).toMatchObject({ code: 0, out: expect.stringMatching(/no .*server /) })
  })
})
