import { Button, Input, Modal } from 'antd'
import { type JSX, useState } from 'react'
import { useTranslation } from 'react-i18next'

export function VoiceDialog({ close, record }: { close: () => void; record: (spokenWith: string) => void }): JSX.Element {
  const { t } = useTranslation()
  const [spokenWith, setSpokenWith] = useState('')
  const ready = spokenWith.trim() !== ''
  return (
    <Modal
      open
      title={t('voice.title')}
      onCancel={close}
      width={420}
      footer={[
        <Button key="cancel" onClick={close}>{t('voice.cancel')}</Button>,
        <Button key="record" type="primary" disabled={!ready} onClick={() => record(spokenWith.trim())}>{t('voice.submit')}</Button>,
      ]}
    >
      <form
        className="dialog-form"
        onSubmit={(event) => {
          event.preventDefault()
          if (ready) record(spokenWith.trim())
        }}
      >
        <label htmlFor="spoken-with">{t('voice.spokenWith')}</label>
        <Input id="spoken-with" autoFocus maxLength={100} value={spokenWith} onChange={(event) => setSpokenWith(event.target.value)} />
        <p className="quiet">{t('voice.hint')}</p>
      </form>
    </Modal>
  )
}
