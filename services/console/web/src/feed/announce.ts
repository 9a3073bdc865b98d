import type { AlertSummary } from '../api/types'
import { i18next } from '../i18n'
import { alertName } from '../look/names'
import { useFeed } from './store'

let audio: AudioContext | null = null

/** Two rising tones for a person, one for anything else; a grave one is repeated. */
function ring(alert: AlertSummary): void {
  try {
    audio ??= new AudioContext()
  } catch {
    return // A desk without a sound device: the page says it all the same.
  }
  const tones = alert.names_person ? [660, 990] : [520]
  const times = alert.severity === 'critical' ? 2 : 1
  let at = audio.currentTime + 0.02
  for (let time = 0; time < times; time += 1) {
    for (const tone of tones) {
      const oscillator = audio.createOscillator()
      const gain = audio.createGain()
      oscillator.frequency.value = tone
      gain.gain.setValueAtTime(0.0001, at)
      gain.gain.exponentialRampToValueAtTime(0.15, at + 0.02)
      gain.gain.exponentialRampToValueAtTime(0.0001, at + 0.18)
      oscillator.connect(gain).connect(audio.destination)
      oscillator.start(at)
      oscillator.stop(at + 0.2)
      at += 0.2
    }
  }
}

/** Says a new alert aloud: by sound, and to screen readers. */
export function announce(alert: AlertSummary): void {
  if (useFeed.getState().sound && ['major', 'critical'].includes(alert.severity)) ring(alert)
  const region = document.getElementById('announcements')
  if (region === null) return
  const what = `${alertName(alert)}, ${alert.district}`
  region.textContent = i18next.t(alert.names_person ? 'announce.newPerson' : 'announce.new', { what })
}
