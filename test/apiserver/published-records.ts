/** What the owner of a domain does with the records of a status: they go into the zone file. */
import type { DnsRecordStatus } from '../../crds/domain-policy.ts';
import { zoneLine } from '../../operator/domainpolicy/dns-record.ts';

export function published(records: readonly DnsRecordStatus[]): string[] {
  return records.map(record => zoneLine({ ...record, type: 'TXT' }));
}
