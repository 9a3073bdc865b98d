import type { AlertCard, AlertSummary, Sighting } from '../src/api/types'

/** A vehicle alert that waits for a decision. */
export function summary(change: Partial<AlertSummary> = {}): AlertSummary {
  return {
    alert_id: 'a1',
    version: 1,
    status: 'awaiting_confirmation',
    open: true,
    severity: 'major',
    policy: 'confirm_first',
    rule_id: 'listed-vehicle',
    rule_kind: 'watchlist_hit',
    category: 'stolen_vehicle',
    names_person: false,
    text: { chinese: '核对', english: 'Compare' },
    jurisdiction: 'north',
    district: 'station',
    opened_at_ms: 1_000,
    closed_at_ms: null,
    sighting_count: 1,
    sightings_to_confirm: 0,
    newest_read_ms: 900,
    device_id: 'camera-1',
    position: { latitude: 39.5, longitude: 116.7 },
    has_picture: true,
    supervisor_required: false,
    call_by_radio: false,
    unit_id: null,
    assignment_status: null,
    outcome: null,
    ...change,
  }
}

export function sighting(change: Partial<Sighting> = {}): Sighting {
  return {
    raised_id: '01',
    device_id: 'camera-1',
    position: null,
    direction: null,
    lane: null,
    device_time_ms: 1,
    corrected_time_ms: 1,
    received_time_ms: 1,
    correlated_time_ms: 1,
    inserted_time_ms: 1,
    mask: 'exact',
    read_confidence: 0.97,
    clock_uncertainty_ms: 100,
    authentication_class: 'password_over_tls',
    needs_confirmation: false,
    has_picture: true,
    picture_missing_reason: '',
    picture_missing_reason_chinese: '',
    other_place: null,
    ...change,
  }
}

export function card(change: Partial<AlertCard> = {}): AlertCard {
  return {
    summary: summary(),
    rule_version: 1,
    entry_id: 'e1',
    entry_version: 1,
    unit_kind: 'patrol',
    confirmed_by: '',
    confirmed_at_ms: null,
    rejected_reason: '',
    cancelled_reason: '',
    cancelled_reason_chinese: '',
    escalated_reason: '',
    escalated_reason_chinese: '',
    sightings: [sighting()],
    assignments: [],
    life: [],
    checklist: ['opened', 'read_matches'].map((item) => ({ item, text: { chinese: item, english: item } })),
    actions: ['open', 'confirm', 'reject'],
    evidence_missing_reason: '',
    evidence_missing_reason_chinese: '',
    ...change,
  }
}
