import { Button, Input } from 'antd'
import { type JSX, type SubmitEvent, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { NoAnswer, Problem } from '../api/problem'
import { problemText } from '../look/problemText'
import { LanguageSwitch } from '../top/LanguageSwitch'
import { signIn } from './session'

/** `ended`: somebody was signed in, and the page goes on where it was. */
export function SignIn({ ended, signedIn }: { ended: boolean; signedIn: () => Promise<unknown> }): JSX.Element {
  const { t } = useTranslation()
  const [account, setAccount] = useState('')
  const [password, setPassword] = useState('')
  const [busy, setBusy] = useState(false)
  const [failure, setFailure] = useState('')

  async function submit(event: SubmitEvent<HTMLFormElement>): Promise<void> {
    event.preventDefault()
    setBusy(true)
    setFailure('')
    try {
      await signIn(account.trim(), password)
      await signedIn()
    } catch (error) {
      setFailure(failureText(error))
      setPassword('')
    } finally {
      setBusy(false)
    }
  }

  function failureText(error: unknown): string {
    if (error instanceof NoAnswer) return t('signIn.unreachable')
    if (!(error instanceof Problem)) throw error
    if (error.status === 401 || error.status === 400) return t('signIn.wrong')
    if (error.status === 403) return t('signIn.notAllowed')
    return t('signIn.failed', { detail: problemText(error) })
  }

  return (
    <main className="sign-in">
      <form className="sign-in-form" onSubmit={(event) => void submit(event)} aria-labelledby="sign-in-title">
        <div className="sign-in-brand">
          <img src="/favicon.svg" alt="" width="40" height="40" />
          <div>
            <h1 id="sign-in-title">{t('app.name')}</h1>
            <p>{t('app.office')}</p>
          </div>
          <LanguageSwitch />
        </div>
        {ended && <p className="note note-warn" role="status">{t('signIn.ended')}</p>}
        <label htmlFor="account">{t('signIn.account')}</label>
        <Input
          id="account"
          name="account"
          autoComplete="username"
          autoFocus
          size="large"
          maxLength={64}
          required
          value={account}
          onChange={(event) => setAccount(event.target.value)}
        />
        <label htmlFor="password">{t('signIn.password')}</label>
        <Input
          id="password"
          name="password"
          type="password"
          autoComplete="current-password"
          size="large"
          maxLength={256}
          required
          value={password}
          onChange={(event) => setPassword(event.target.value)}
        />
        <Button type="primary" size="large" htmlType="submit" block disabled={busy || !account || !password}>
          {busy ? t('signIn.busy') : t('signIn.submit')}
        </Button>
        <div role="alert" className="sign-in-failure">{failure}</div>
        <p className="sign-in-record">{t('signIn.record')}</p>
      </form>
    </main>
  )
}
