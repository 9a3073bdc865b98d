import { useQuery, useQueryClient } from '@tanstack/react-query'

import { answer, client } from '../api/client'
import { Problem } from '../api/problem'
import type { SessionView } from '../api/types'

export const SESSION = ['session'] as const

/** Who is signed in: null, nobody. */
export function useSession() {
  return useQuery({
    queryKey: SESSION,
    queryFn: async (): Promise<SessionView | null> => {
      try {
        return await answer(client.GET('/api/session'))
      } catch (error) {
        if (error instanceof Problem && error.isSignedOut) return null
        throw error
      }
    },
    retry: true,
    retryDelay: 2_000,
    staleTime: Number.POSITIVE_INFINITY,
  })
}

export async function signIn(account: string, password: string): Promise<void> {
  await answer(client.POST('/api/session', { body: { account, password } }))
}

/** Ends the session; what the page holds of it goes with it. */
export function useSignOut(): () => Promise<void> {
  const queries = useQueryClient()
  return async () => {
    await answer(client.DELETE('/api/session')).catch(() => undefined)
    window.location.reload()
    queries.clear()
  }
}

/** Whether this person decides about alerts. What is hidden here, the server refuses anyway. */
export function seesAlerts(session: SessionView): boolean {
  return session.roles.includes('operator') || session.roles.includes('supervisor')
}
