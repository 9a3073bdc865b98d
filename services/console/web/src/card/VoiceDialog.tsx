import { Button, Input } from 'antd'
import { type JSX, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { Dialog } from '../look/Dialog'

export function VoiceDialog({ close, record }: { close: () => void; record: (spokenWith: string) => void }): JSX.Element {
  const { t } = useTranslation()
  const [spokenWith, setSpokenWith] = useState('')
  const ready = spokenWith.trim() !== ''
  return (
    <Dialog
      title={t('voice.title')}
      close={close}
      footer={
        <>
          <Button onClick={close}>{t('voice.cancel')}</Button>
          <Button type="primary" className="does-it" disabled={!ready} onClick={() => record(spokenWith.trim())}>
            {t('voice.submit')}
          </Button>
        </>
      }
    >
      <form
        className="dialog-form"
        onSubmit={(event) => {
          event.preventDefault()
          if (ready) record(spokenWith.trim())
        }}
      >
        <label htmlFor="spoken-with">{t('voice.spokenWith')}</label>
        <Input id="spoken-with" data-first maxLength={100} value={spokenWith} onChange={(event) => setSpokenWith(event.target.value)} />
        <p className="quiet">{t('voice.hint')}</p>
      </form>
    </Dialog>
  )
}
