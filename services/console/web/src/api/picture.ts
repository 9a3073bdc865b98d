import { Problem } from './problem'

/** The opened picture as an address of this page alone. Whoever asks lets go of it with URL.revokeObjectURL. */
export async function fetchPicture(alertId: string): Promise<string> {
  const response = await fetch(`/api/alerts/${encodeURIComponent(alertId)}/picture`, { cache: 'no-store' })
  if (!response.ok) throw new Problem(response.status, undefined, null)
  return URL.createObjectURL(await response.blob())
}
