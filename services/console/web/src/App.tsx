import { useQueryClient } from '@tanstack/react-query'
import { ConfigProvider } from 'antd'
import enUS from 'antd/locale/en_US'
import zhCN from 'antd/locale/zh_CN'
import { type JSX, useRef } from 'react'
import { useTranslation } from 'react-i18next'

import { Console } from './Console'
import { language } from './i18n'
import { SESSION, seesAlerts, useSession } from './session/session'
import { SignIn } from './session/SignIn'
import { nightTheme, styleNonce } from './theme'

const csp = { nonce: styleNonce() }

export function App(): JSX.Element {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const session = useSession()
  const lastAccount = useRef<string | null>(null)

  async function signedIn(): Promise<void> {
    queries.removeQueries({ predicate: (query) => query.queryKey[0] !== SESSION[0] })
    await queries.refetchQueries({ queryKey: SESSION })
    const now = queries.getQueryData<{ account: string } | null>(SESSION)
    // What one person was shown is not the next one's.
    if (lastAccount.current !== null && now?.account !== lastAccount.current) window.location.reload()
  }

  const who = session.data
  if (who) lastAccount.current = who.account
  return (
    <ConfigProvider
      csp={csp}
      theme={nightTheme}
      locale={language() === 'zh' ? zhCN : enUS}
      button={{ autoInsertSpace: false }}
    >
      {who === undefined && <p className="page-note" role="status">{t('banner.connecting')}</p>}
      {who === null && <SignIn ended={lastAccount.current !== null} signedIn={signedIn} />}
      {who && !seesAlerts(who) && <p className="page-note" role="alert">{t('signIn.notAllowed')}</p>}
      {who && seesAlerts(who) && <Console session={who} />}
    </ConfigProvider>
  )
}
