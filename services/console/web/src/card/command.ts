import { useRef, useState } from 'react'

import { NoAnswer, Problem } from '../api/problem'
import type { AlertCard, LocalizedText } from '../api/types'

export type CommandName = 'confirm' | 'reject' | 'dispatch' | 'voice'

export type CommandState =
  | { phase: 'idle' }
  /** Sent; the hub has said nothing yet, so nothing is shown as done. */
  | { phase: 'sent'; name: CommandName }
  | { phase: 'done'; name: CommandName; at: number }
  | { phase: 'stale'; name: CommandName }
  | { phase: 'refused'; name: CommandName; status: number; detail: LocalizedText; retryAfterSeconds: number | null }
  | { phase: 'unknown'; name: CommandName; again: () => void }

/**
 * One command at a time. A wish has one command id, and where no answer came, asking again uses the same one, so that
 * the hub does it once.
 */
export function useCommand(taken: (card: AlertCard) => void, stale: () => void) {
  const [state, setState] = useState<CommandState>({ phase: 'idle' })
  const busy = useRef(false)

  async function send(name: CommandName, wish: (commandId: string) => Promise<AlertCard>, id?: string): Promise<void> {
    if (busy.current) return
    busy.current = true
    const commandId = id ?? crypto.randomUUID()
    setState({ phase: 'sent', name })
    try {
      const card = await wish(commandId)
      taken(card)
      setState({ phase: 'done', name, at: Date.now() })
    } catch (error) {
      if (error instanceof NoAnswer) {
        setState({ phase: 'unknown', name, again: () => void send(name, wish, commandId) })
      } else if (error instanceof Problem && error.isStale) {
        setState({ phase: 'stale', name })
        stale()
      } else if (error instanceof Problem) {
        const { status, detail, retryAfterSeconds } = error
        setState({ phase: 'refused', name, status, detail, retryAfterSeconds })
      } else {
        setState({ phase: 'unknown', name, again: () => void send(name, wish, commandId) })
      }
    } finally {
      busy.current = false
    }
  }

  return { state, send, clear: () => setState({ phase: 'idle' }) }
}
