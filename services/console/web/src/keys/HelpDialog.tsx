import { Button } from 'antd'
import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import { Dialog } from '../look/Dialog'

const KEYS = [
  ['j k ↓ ↑', 'move'],
  ['Enter', 'open'],
  ['o', 'evidence'],
  ['1 – 9', 'tick'],
  ['c', 'confirm'],
  ['r', 'reject'],
  ['d', 'dispatch'],
  ['v', 'voice'],
  ['m', 'map'],
  ['l', 'language'],
  ['Esc', 'close'],
  ['?', 'help'],
] as const

export function HelpDialog({ close }: { close: () => void }): JSX.Element {
  const { t } = useTranslation()
  return (
    <Dialog
      title={t('help.title')}
      close={close}
      footer={<Button type="primary" data-first onClick={close}>{t('help.ok')}</Button>}
    >
      <dl className="help-keys">
        {KEYS.map(([keys, what]) => (
          <div key={what}>
            <dt>{keys.split(' ').map((key) => (key === '–' ? ' – ' : <kbd key={key}>{key}</kbd>))}</dt>
            <dd>{t(`help.${what}`)}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
