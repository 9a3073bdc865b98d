import type { JSX } from 'react'
import { useTranslation } from 'react-i18next'

import type { AlertCard } from '../api/types'
import { duration } from '../look/time'
import { type Why, verdict, whyOf } from './why'

/** The reasons side by side, each with how much it carries. */
export function WhyStrip({ card }: { card: AlertCard }): JSX.Element {
  const { t } = useTranslation()
  const why = whyOf(card, card.sightings[0])
  const whole = verdict(why)
  return (
    <section className="why" aria-labelledby="why-title">
      <div className="section-head">
        <h3 id="why-title">{t('why.title')}</h3>
        <strong className={`verdict weight-${whole}`}>{t(`why.verdict.${whole}`)}</strong>
      </div>
      <dl className="why-tiles">
        {why.map((each) => (
          <Tile key={each.what} why={each} />
        ))}
      </dl>
    </section>
  )
}

function Tile({ why }: { why: Why }): JSX.Element {
  const { t } = useTranslation()
  const [value, hint] = useWords(why)
  return (
    <div className={`why-tile weight-${why.weight}`} data-why={why.what}>
      <dt>{t(`why.${why.what}`)}</dt>
      <dd>
        <strong>{value}</strong>
        {why.what === 'confidence' && why.percent !== null && (
          <meter min={0} max={100} low={75} high={90} optimum={100} value={why.percent} aria-label={t('why.confidence')} />
        )}
        <span>{hint}</span>
        <span className="only-read">{t(`why.weight.${why.weight}`)}</span>
      </dd>
    </div>
  )
}

function useWords(why: Why): readonly [string, string] {
  const { t } = useTranslation()
  switch (why.what) {
    case 'rule':
    case 'entry':
      return [why.id, t('why.version', { version: why.version })]
    case 'mask':
      return [t(`why.maskCode.${why.code}`), t(`why.maskHint.${why.code}`, { mask: why.mask })]
    case 'places':
      return [
        `${why.other.device_id} → ${why.here}`,
        t('why.placesHint', {
          kilometres: (why.other.distance_metres / 1000).toFixed(1),
          apart: duration(why.apartMs),
          speed: why.other.speed_kmh,
          maximum: why.other.maximum_speed_kmh,
        }),
      ]
    case 'confidence':
      return why.percent === null
        ? [t('why.noConfidence'), t('why.noConfidenceHint')]
        : [`${why.percent} %`, t('why.confidenceHint')]
    case 'clock':
      return [`± ${duration(why.uncertaintyMs)}`, t('why.clockHint')]
    case 'device':
      return [t(`why.authentication.${why.authentication}`), t(`why.authenticationHint.${why.authentication}`)]
  }
}
