import { type JSX, useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'

import { fetchPicture } from '../api/picture'
import { Dialog } from '../look/Dialog'
import { shortId } from '../look/names'

interface Props {
  alertId: string
  there: boolean
  missing: string
}

export function Picture({ alertId, there, missing }: Props): JSX.Element {
  const { t } = useTranslation()
  const [address, setAddress] = useState<string | null>(null)
  const [failed, setFailed] = useState(false)
  const [large, setLarge] = useState(false)

  useEffect(() => {
    if (!there) return undefined
    let gone = false
    let made: string | null = null
    fetchPicture(alertId).then(
      (found) => {
        made = found
        if (gone) URL.revokeObjectURL(found)
        else setAddress(found)
      },
      () => {
        if (!gone) setFailed(true)
      },
    )
    return () => {
      gone = true
      if (made !== null) URL.revokeObjectURL(made)
    }
  }, [alertId, there])

  const name = t('evidence.picture', { id: shortId(alertId) })
  if (!there)
    return (
      <div className="picture picture-none">
        <strong>{t('evidence.noPicture')}</strong>
        <span>{missing}</span>
      </div>
    )
  if (failed) return <div className="picture picture-none" role="alert">{t('evidence.pictureFailed')}</div>
  if (address === null) return <div className="picture picture-none" role="status">{t('evidence.pictureLoading')}</div>
  return (
    <>
      <button type="button" className="picture" aria-label={t('evidence.zoom')} onClick={() => setLarge(true)}>
        <img src={address} alt={name} onError={() => setFailed(true)} />
      </button>
      {large && (
        <Dialog wide title={name} close={() => setLarge(false)}>
          <img className="picture-large" src={address} alt={name} />
        </Dialog>
      )}
    </>
  )
}
