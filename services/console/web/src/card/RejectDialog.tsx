import { Button, Input, Radio } from 'antd'
import { type JSX, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Dialog } from '../look/Dialog'

const REASONS = ['misread', 'vehicle', 'entry', 'duplicate', 'test'] as const
const SHORTEST = 3

export function RejectDialog({ close, reject }: { close: () => void; reject: (reason: string) => void }): JSX.Element {
  const { t } = useTranslation()
  const [code, setCode] = useState<string | null>(null)
  const [words, setWords] = useState('')
  const own = words.trim()
  const chosen = REASONS.find((each) => each === code)
  const reason = [chosen === undefined ? '' : t(`reject.reasons.${chosen}`), own].filter(Boolean).join(': ')
  const ready = chosen !== undefined || own.length >= SHORTEST

  return (
    <Dialog
      title={t('reject.title')}
      close={close}
      footer={
        <>
          <Button onClick={close}>{t('reject.cancel')}</Button>
          <Button danger type="primary" className="does-it" disabled={!ready} onClick={() => reject(reason)}>
            {t('reject.submit')}
          </Button>
        </>
      }
    >
      <form
        className="dialog-form"
        onSubmit={(event) => {
          event.preventDefault()
          if (ready) reject(reason)
        }}
      >
        <Radio.Group
          aria-label={t('reject.reason')}
          value={code}
          onChange={(event) => setCode(String(event.target.value))}
          options={REASONS.map((value) => ({ value, label: t(`reject.reasons.${value}`) }))}
          vertical
        />
        <Input
          aria-label={t('reject.other')}
          placeholder={t('reject.other')}
          maxLength={300}
          data-first
          value={words}
          onChange={(event) => setWords(event.target.value)}
        />
        <p className="quiet">{t('reject.hint')}</p>
      </form>
    </Dialog>
  )
}
