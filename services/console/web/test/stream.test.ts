import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import type { FeedAlert, FeedEnd, FeedHeartbeat, FeedSnapshot } from '../src/api/types'
import { type FeedListener, FeedStream, type Source, WATCHDOG_MS } from '../src/feed/stream'

class FakeSource implements Source {
  static made: FakeSource[] = []
  readonly url: string
  closed = false
  private readonly listeners = new Map<string, ((event: MessageEvent<string>) => void)[]>()

  constructor(url: string) {
    this.url = url
    FakeSource.made.push(this)
  }

  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void {
    this.listeners.set(type, [...(this.listeners.get(type) ?? []), listener])
  }

  close(): void {
    this.closed = true
  }

  says(type: string, data: unknown = {}, id = ''): void {
    const event = { data: JSON.stringify(data), lastEventId: id } as MessageEvent<string>
    for (const listener of this.listeners.get(type) ?? []) listener(event)
  }
}

class Heard implements FeedListener {
  readonly events: string[] = []
  isLive: boolean | null = null
  snapshot(_: FeedSnapshot): void { this.events.push('snapshot') }
  alert(event: FeedAlert): void { this.events.push(event.because) }
  heartbeat(_: FeedHeartbeat): void { this.events.push('heartbeat') }
  ended(event: FeedEnd): void { this.events.push(`ended:${event.signed_out}`) }
  live(isLive: boolean): void { this.isLive = isLive }
  failed(): void { this.events.push('failed') }
}

function begun(): { heard: Heard; stream: FeedStream; newest: () => FakeSource } {
  const heard = new Heard()
  const stream = new FeedStream(heard, (url) => new FakeSource(url))
  stream.start()
  return { heard, stream, newest: () => FakeSource.made[FakeSource.made.length - 1] as FakeSource }
}

beforeEach(() => {
  FakeSource.made = []
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

describe('the feed of a tab', () => {
  test('it is live once the hub has sent a heartbeat, not before', () => {
    const { heard, newest } = begun()
    newest().says('snapshot', {}, '1')
    expect(heard.isLive).toBeNull()
    newest().says('heartbeat')
    expect(heard.isLive).toBe(true)
  })

  test('a silent stream is replaced after twelve seconds, and goes on after the last event', () => {
    const { heard, newest } = begun()
    newest().says('alert', { because: 'one' }, 'epoch:1/2')
    newest().says('heartbeat')
    vi.advanceTimersByTime(WATCHDOG_MS - 1)
    expect(heard.isLive).toBe(true)
    vi.advanceTimersByTime(1)
    expect(heard.isLive).toBe(false)
    expect(FakeSource.made[0]?.closed).toBe(true)
    vi.advanceTimersByTime(1_000)
    expect(FakeSource.made).toHaveLength(2)
    expect(newest().url).toBe('/api/feed?since=epoch%3A1%2F2')
  })

  test('heartbeats keep it', () => {
    const { newest } = begun()
    for (let beat = 0; beat < 10; beat += 1) {
      vi.advanceTimersByTime(5_000)
      newest().says('heartbeat')
    }
    expect(FakeSource.made).toHaveLength(1)
  })

  test('an error closes it at once and connects again ever more slowly, up to five seconds', () => {
    const { heard, newest } = begun()
    newest().says('heartbeat')
    newest().says('error')
    expect(heard.isLive).toBe(false)
    expect(heard.events).toContain('failed')
    const waits: number[] = []
    for (let time = 0; time < 6; time += 1) {
      const before = FakeSource.made.length
      let waited = 0
      while (FakeSource.made.length === before && waited < 20_000) {
        vi.advanceTimersByTime(100)
        waited += 100
      }
      waits.push(waited)
      newest().says('error')
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000])
  })

  test('what a closed source still says is not taken', () => {
    const { heard, newest } = begun()
    const first = newest()
    first.says('error')
    vi.advanceTimersByTime(1_000)
    first.says('alert', { because: 'late' }, '9')
    expect(heard.events).not.toContain('late')
  })

  test('when the session is over it does not connect again', () => {
    const { heard, newest } = begun()
    newest().says('end', { reason: 'revoked', signed_out: true })
    vi.advanceTimersByTime(60_000)
    expect(FakeSource.made).toHaveLength(1)
    expect(heard.isLive).toBe(false)
    expect(heard.events).toContain('ended:true')
  })

  test('a slow tab that was cut off goes on', () => {
    const { newest } = begun()
    newest().says('alert', { because: 'one' }, '7')
    newest().says('end', { reason: 'slow', signed_out: false })
    vi.advanceTimersByTime(1_000)
    expect(newest().url).toBe('/api/feed?since=7')
  })

  test('an event that cannot be read is asked for again', () => {
    const { newest } = begun()
    newest().says('alert', { because: 'one' }, '7')
    const broken = { data: 'no json', lastEventId: '8' } as MessageEvent<string>
    const source = newest() as unknown as { listeners: Map<string, ((event: MessageEvent<string>) => void)[]> }
    expect(() => source.listeners.get('alert')?.forEach((listener) => listener(broken))).toThrow()
    newest().says('error')
    vi.advanceTimersByTime(1_000)
    expect(newest().url).toBe('/api/feed?since=7')
  })
})
