/**
 * The domains that the key records of a policy stand at. A wildcard stands only at the left end of a name, so that keys and DMARC of
 * `*.example.com` stand at example.com, which relaxed alignment (RFC 7489 s3.1) then covers.
 */
import type { DomainPolicy } from '../../crds/domain-policy.ts';

/** Each once, in the order of the policy. */
export function baseDomains({ spec }: DomainPolicy): string[] {
  return [...new Set(spec.domains.map(baseDomain))];
}

export function baseDomain(pattern: string): string {
  return pattern.replace(/^\*\./, '');
}
