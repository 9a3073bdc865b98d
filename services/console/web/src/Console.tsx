import { type JSX, useMemo, useState } from 'react'

import type { SessionView } from './api/types'
import { CardPanel } from './card/CardPanel'
import { neighbour, sections } from './feed/alerts'
import { FeedPanel } from './feed/FeedPanel'
import { useFeed } from './feed/store'
import { useFeedStream } from './feed/useFeedStream'
import { language, setLanguage } from './i18n'
import { HelpDialog } from './keys/HelpDialog'
import { useKeys } from './keys/keys'
import { MapPanel } from './map/MapPanel'
import { useActivity } from './session/useActivity'
import { Banners } from './top/Banners'
import { TopBar } from './top/TopBar'

/** The office's one page: feed, card, map. */
export function Console({ session }: { session: SessionView }): JSX.Element {
  const [help, setHelp] = useState(false)
  useFeedStream()
  useActivity()
  const alerts = useFeed((state) => state.alerts)
  const kinds = useFeed((state) => state.kinds)
  const cursor = useFeed((state) => state.cursor)
  const opened = useFeed((state) => state.opened)
  const shown = useMemo(() => sections(alerts, kinds), [alerts, kinds])

  function move(steps: 1 | -1): void {
    const next = neighbour(shown, cursor, steps)
    useFeed.getState().moveTo(next)
  }

  useKeys({
    j: () => move(1),
    ArrowDown: (event) => (inFeed(event) ? move(1) : false),
    k: () => move(-1),
    ArrowUp: (event) => (inFeed(event) ? move(-1) : false),
    Enter: (event) => {
      // On a button or a box, Enter is theirs.
      const focused = event.target instanceof HTMLElement && event.target.closest('button, a, input, [role=checkbox]')
      if (focused || cursor === null) return false
      useFeed.getState().open(cursor)
      return undefined
    },
    l: () => setLanguage(language() === 'zh' ? 'en' : 'zh'),
    '?': () => setHelp(true),
    Escape: () => useFeed.getState().open(null),
  })

  return (
    <div className="console">
      <TopBar session={session} showHelp={() => setHelp(true)} />
      <Banners />
      <FeedPanel shown={shown} />
      <main className="main">
        <CardPanel key={opened ?? 'none'} alertId={opened} session={session} />
      </main>
      <MapPanel />
      <div id="announcements" className="only-read" role="status" aria-live="assertive" />
      {help && <HelpDialog close={() => setHelp(false)} />}
    </div>
  )
}

function inFeed(event: KeyboardEvent): boolean {
  return !(event.target instanceof HTMLElement) || event.target.closest('.card, .map') === null
}
