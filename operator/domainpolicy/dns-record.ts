/** The DNS records that a DomainPolicy needs. */

import type { DnsRecordStatus, DomainPolicy } from '../../crds/domain-policy.ts';
import { prefixLengthOf } from '../../crds/network.ts';
import type { Route } from '../../crds/route.ts';
import { baseDomain } from './base-domains.ts';

export interface DnsRecord {
  /** Owner name, without a final dot. */
  readonly name: string;
  readonly type: 'TXT';
  readonly purpose: DnsRecordStatus['purpose'];
  /** As one string. */
  readonly value: string;
}

export interface RecordInput {
  readonly policy: DomainPolicy;
  readonly keys: readonly { readonly selector: string; readonly recordValue: string }[];
  /** The relay's. */
  readonly hostname: string;
  /** The relay's; the policy's own goes first. */
  readonly route: Route;
}

/** Each record once, in the order of the policy's domains. */
export function desiredRecords({ policy, keys, hostname, route }: RecordInput): DnsRecord[] {
  const { spf, dmarc } = policy.spec.dns;
  const spfValue = spfRecord(spf, (policy.spec.route ?? route).type === 'SmartHost' ? undefined : hostname);
  const records = policy.spec.domains.flatMap(pattern => {
    const base = baseDomain(pattern);
    return [
      ...keys.map(key => keyRecord(key, base)),
      txt('SPF', pattern, spfValue),
      txt('DMARC', `_dmarc.${base}`, dmarcRecord(dmarc)),
      // RFC 8460 s3, RFC 8461 s3.1: asked for below the very domain, and no name stands below a wildcard.
      ...(pattern === base ? inboundRecords(base, policy.spec.dns) : []),
    ];
  });
  return [...new Map(records.map(record => [`${record.name} ${record.purpose}`, record])).values()];
}

/** Of one key, at a base domain. */
export function keyRecord({ selector, recordValue }: RecordInput['keys'][number], domain: string): DnsRecord {
  return txt('DKIM', `${selector}._domainkey.${domain}`, recordValue);
}

function txt(purpose: DnsRecord['purpose'], name: string, value: string): DnsRecord {
  return { name, type: 'TXT', purpose, value };
}

type Dns = DomainPolicy['spec']['dns'];

/** RFC 7208. A smart host sends in our place: its own addresses come in by `include`, and ours would say something untrue. */
function spfRecord({ include, addresses }: Dns['spf'], hostname: string | undefined): string {
  return [
    'v=spf1',
    ...(hostname === undefined ? [] : [`a:${hostname}`]),
    ...addresses.map(network => `${network.includes(':') ? 'ip6' : 'ip4'}:${withoutFullPrefix(network)}`),
    ...include.map(domain => `include:${domain}`),
    // SoftFail: forwarding breaks SPF, and DMARC decides by DKIM where it does.
    '~all',
  ].join(' ');
}

function withoutFullPrefix(network: string): string {
  const full = network.includes(':') ? 128 : 32;
  return prefixLengthOf(network) === full ? network.slice(0, network.indexOf('/')) : network;
}

/** RFC 7489 s6.3. */
function dmarcRecord({ policy, reportTo }: Dns['dmarc']): string {
  const report = reportTo === undefined ? '' : `; rua=mailto:${reportTo}`;
  return `v=DMARC1; p=${policy.toLowerCase()}${report}`;
}

/** About mail to the domain. */
function inboundRecords(domain: string, { tlsReports, mtaSts }: Dns): DnsRecord[] {
  return [
    ...(tlsReports === undefined
      ? []
      : [txt('TLSRPT', `_smtp._tls.${domain}`, `v=TLSRPTv1; rua=mailto:${tlsReports.reportTo}`)]),
    ...(mtaSts === undefined ? [] : [txt('MTASTS', `_mta-sts.${domain}`, `v=STSv1; id=${mtaSts.id};`)]),
  ];
}

/** RFC 1035 s3.3: a character-string holds at most 255 octets; readers join them without a space (RFC 7208 s3.3, RFC 6376 s3.6.2.2). */
export function characterStrings(value: string): string[] {
  return value.match(/[\s\S]{1,255}/g) ?? [''];
}

/** As a line of a zone file (RFC 1035 s5.1). */
export function zoneLine({ name, type, value }: DnsRecord): string {
  const strings = characterStrings(value).map(part => `"${part.replaceAll(/["\\]/g, '\\$&')}"`);
  return `${name}. 3600 IN ${type} ${strings.join(' ')}`;
}
