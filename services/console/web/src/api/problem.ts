import type { LocalizedText, ProblemBody } from './types'

/** Refused or failed by the backend; nothing was changed. */
export class Problem extends Error {
  readonly status: number
  /** The hub's own words. */
  readonly detail: LocalizedText
  readonly fields: readonly string[]
  readonly retryAfterSeconds: number | null

  constructor(status: number, body: Partial<ProblemBody> | undefined, retryAfter: string | null) {
    super(body?.detail || body?.title || `HTTP ${status}`)
    this.status = status
    this.detail = { chinese: body?.detail_chinese ?? '', english: body?.detail || body?.title || '' }
    this.fields = (body?.errors ?? []).map((each) => each.field)
    const seconds = retryAfter === null ? Number.NaN : Number(retryAfter)
    this.retryAfterSeconds = Number.isFinite(seconds) ? seconds : null
  }

  /** The alert is not as the operator saw it. */
  get isStale(): boolean {
    return this.status === 412
  }

  get isSignedOut(): boolean {
    return this.status === 401
  }
}

/** No answer came: whether the hub did what was asked is not known. Asking again with the same command id is safe. */
export class NoAnswer extends Error {
  constructor() {
    super('no answer')
  }
}
