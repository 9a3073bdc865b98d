import type { FeedAlert, FeedEnd, FeedHeartbeat, FeedSnapshot } from '../api/types'

/** As much of an EventSource as the stream needs. */
export interface Source {
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void
  close(): void
}

export interface FeedListener {
  snapshot(event: FeedSnapshot): void
  alert(event: FeedAlert): void
  heartbeat(event: FeedHeartbeat): void
  /** The backend ended the stream; where `signed_out`, signing in comes first. */
  ended(event: FeedEnd): void
  /** Whether what the page shows is what the hub has now. */
  live(isLive: boolean): void
  /** The connection failed: the session may be over. */
  failed(): void
}

/** The backend's heartbeat comes each five seconds: two are lost before the stream is distrusted. */
export const WATCHDOG_MS = 12_000
const FIRST_RETRY_MS = 500
const LONGEST_RETRY_MS = 5_000

/**
 * The one feed of this tab. A browser reconnects an EventSource by itself, but neither one that is silent nor one
 * that was refused: so each source is used once, and the next one begins after the last event that was seen.
 */
export class FeedStream {
  private readonly listener: FeedListener
  private readonly open: (url: string) => Source
  private source: Source | null = null
  private lastId = ''
  private watchdog: ReturnType<typeof setTimeout> | undefined
  private retry: ReturnType<typeof setTimeout> | undefined
  private retryMs = FIRST_RETRY_MS

  constructor(listener: FeedListener, open: (url: string) => Source = (url) => new EventSource(url)) {
    this.listener = listener
    this.open = open
  }

  start(): void {
    this.stop()
    this.retryMs = FIRST_RETRY_MS
    this.connect()
  }

  /** Ends it; `start` goes on where it stopped. */
  stop(): void {
    clearTimeout(this.watchdog)
    clearTimeout(this.retry)
    this.source?.close()
    this.source = null
  }

  /** Begins from a snapshot: another person's events are not this one's. */
  forget(): void {
    this.lastId = ''
  }

  private connect(): void {
    const source = this.open(this.lastId ? `/api/feed?since=${encodeURIComponent(this.lastId)}` : '/api/feed')
    this.source = source
    this.expect()
    this.on(source, 'snapshot', (data) => this.listener.snapshot(data as FeedSnapshot))
    this.on(source, 'alert', (data) => this.listener.alert(data as FeedAlert))
    this.on(source, 'heartbeat', (data) => {
      this.retryMs = FIRST_RETRY_MS
      this.listener.heartbeat(data as FeedHeartbeat)
      this.listener.live(true)
    })
    this.on(source, 'end', (data) => {
      const end = data as FeedEnd
      this.listener.live(false)
      if (end.signed_out) this.stop()
      else this.again()
      this.listener.ended(end)
    })
    source.addEventListener('error', () => {
      if (this.source !== source) return
      this.listener.live(false)
      this.again()
      this.listener.failed()
    })
  }

  private on(source: Source, type: string, take: (data: unknown) => void): void {
    source.addEventListener(type, (event) => {
      if (this.source !== source) return
      this.expect()
      take(JSON.parse(event.data))
      // Only once it is taken: an event that could not be read is asked for again.
      if (event.lastEventId) this.lastId = event.lastEventId
    })
  }

  private expect(): void {
    clearTimeout(this.watchdog)
    this.watchdog = setTimeout(() => {
      this.listener.live(false)
      this.again()
      this.listener.failed()
    }, WATCHDOG_MS)
  }

  private again(): void {
    this.stop()
    this.retry = setTimeout(() => this.connect(), this.retryMs)
    this.retryMs = Math.min(LONGEST_RETRY_MS, this.retryMs * 2)
  }
}
