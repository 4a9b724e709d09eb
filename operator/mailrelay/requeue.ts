/** When a relay must be looked at again although nothing about it changes. */
import type { MailRelay, MailRelayStatus } from '../../crds/mail-relay.ts';
import { drainDeadlineMs } from './drain.ts';
import { takenForMs } from './writer.ts';

export interface Situation {
  readonly relay: MailRelay;
  /** As this pass wrote it. */
  readonly status: MailRelayStatus;
  readonly isDraining: boolean;
  readonly taken: readonly string[];
  readonly refusedClaims: readonly string[];
  readonly nowMs: number;
}

/** Nobody tells when a storage class lets volumes grow, or a quota has room again. */
const claimsRefusedForMs = 600_000;

/** Also the step of what has years: the authorities. */
const longestMs = 6 * 3_600_000;
const shortestMs = 1000;

export function dueInMs({ relay, status, isDraining, taken, refusedClaims, nowMs }: Situation): number {
  const { certificate } = status;
  const times = [
    certificate?.renewalTime === undefined ? undefined : Date.parse(certificate.renewalTime),
    certificate?.notAfterTime === undefined ? undefined : Date.parse(certificate.notAfterTime),
    isDraining ? drainDeadlineMs(relay, status) : undefined,
    taken.length === 0 ? undefined : nowMs + takenForMs,
    refusedClaims.length === 0 ? undefined : nowMs + claimsRefusedForMs,
  ].filter(time => time !== undefined);
  // What is over already is done, or waits for something that will be seen.
  const next = Math.min(...times.filter(time => time > nowMs), nowMs + longestMs);
  return Math.max(next - nowMs, shortestMs);
}
