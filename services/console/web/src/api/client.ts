import createClient from 'openapi-fetch'

import { NoAnswer, Problem } from './problem'
import type { paths } from './schema'
import type { ProblemBody } from './types'

/** The backend waits five seconds for each service that it asks. */
const TIMEOUT_MS = 15_000

export function cookie(name: string, cookies: string): string {
  const found = cookies
    .split(';')
    .map((each) => each.trim())
    .find((each) => each.startsWith(`${name}=`))
  return found === undefined ? '' : decodeURIComponent(found.slice(name.length + 1))
}

export const client = createClient<paths>({ baseUrl: globalThis.location?.origin ?? '' })

client.use({
  onRequest({ request }) {
    if (request.method !== 'GET') request.headers.set('X-CSRF-Token', cookie('__Host-csrf', document.cookie))
    return new Request(request, { signal: AbortSignal.any([request.signal, AbortSignal.timeout(TIMEOUT_MS)]) })
  },
  onError() {
    return new NoAnswer()
  },
})

type Result<Data> = { data?: Data; error?: unknown; response: Response }

/** The data of an answer; throws Problem or NoAnswer. */
export async function answer<Data>(call: Promise<Result<Data>>): Promise<Data> {
  const { data, error, response } = await call
  if (!response.ok) {
    const body = typeof error === 'object' && error !== null ? (error as Partial<ProblemBody>) : undefined
    throw new Problem(response.status, body, response.headers.get('retry-after'))
  }
  return data as Data
}
