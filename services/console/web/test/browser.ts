import { vi } from 'vitest'

/** What the page's language needs of a browser. To be called before the page's modules are imported. */
export function stubBrowser(): void {
  vi.stubGlobal('localStorage', { getItem: () => 'zh', setItem: () => undefined })
  vi.stubGlobal('document', { documentElement: { lang: '' } })
}
