/** How long a key waits for its record where nobody looks whether it is there. */
import { type DomainPolicy, managedDkimDefaults } from '../../crds/domain-policy.ts';

const dayMs = 86_400_000;
const minuteMs = 60_000;

/** `spec.dkim.managed.overlapDays`. */
export function overlapMsOf({ spec }: DomainPolicy): number {
  return (spec.dkim.managed?.overlapDays ?? managedDkimDefaults.overlapDays) * dayMs;
}

/** By when a key whose record was asked for at a time signs unseen, to the minute: `2026-01-08T00:01Z`; undefined: its record is looked for. */
export function signsFrom(policy: DomainPolicy, askedMs: number): string | undefined {
  if (policy.spec.dns.checks !== 'Disabled') return undefined;
  const fromMs = Math.ceil((askedMs + overlapMsOf(policy)) / minuteMs) * minuteMs;
  return `${new Date(fromMs).toISOString().slice(0, 16)}Z`;
}
