import { describe, expect, test } from 'vitest'

import { answer, cookie } from '../src/api/client'
import { Problem } from '../src/api/problem'

describe('the hub answers', () => {
  test('the CSRF token is that of the cookie with exactly this name', () => {
    expect(cookie('__Host-csrf', 'a=b; __Host-csrf=to%3Dken; c=d')).toBe('to=ken')
    expect(cookie('__Host-csrf', 'x__Host-csrf=other')).toBe('')
  })

  test('a refusal is a problem with its status, fields and the time to wait', async () => {
    const response = new Response(null, { status: 503, headers: { 'retry-after': '7' } })
    const error = { detail: 'dispatch does not answer', detail_chinese: '派警服务没有应答', errors: [{ field: 'f' }] }
    const failure: unknown = await answer(Promise.resolve({ error, response })).catch((reason: unknown) => reason)
    expect(failure).toBeInstanceOf(Problem)
    expect(failure).toMatchObject({
      status: 503,
      retryAfterSeconds: 7,
      fields: ['f'],
      detail: { chinese: '派警服务没有应答', english: 'dispatch does not answer' },
    })
  })

  test('an empty answer that is no success is not taken for one', async () => {
    const response = new Response(null, { status: 500 })
    await expect(answer(Promise.resolve({ response }))).rejects.toBeInstanceOf(Problem)
  })

  test('only 412 says that the alert is not as it was seen', () => {
    expect([409, 412, 403].map((status) => new Problem(status, undefined, null).isStale)).toEqual([false, true, false])
  })
})
