/** What the records of a policy are, by what the authoritative servers said: pure. */
import type { DnsRecordStatus } from '../../crds/domain-policy.ts';
import { longestSpf, type Said, type TxtAnswer } from '../dns/txt.ts';
import type { DnsRecord } from './dns-record.ts';
import { mergeSpf, mostLookups, spfRecordsOf, termsOf } from './spf.ts';
import { isSameKey, isSameMtaSts, isSamePolicy, isSameTlsReports, tagListOf } from './tag-list.ts';

/** What was learnt of one name. */
export interface RecordSight {
  readonly answer: TxtAnswer;
  /** SPF: look-ups that receivers make for the record as it should be; undefined: not counted. */
  readonly lookups: number | undefined;
  /** SPF: includes that have no record. */
  readonly broken: readonly string[];
}

export interface CheckedRecord extends DnsRecordStatus {
  /** What is wrong, for the condition; undefined: nothing, or not known. */
  readonly fault: string | undefined;
  /** What was seen at its name: nothing; this very text alone; or something else (too), which is the owner's. Undefined: not known. */
  readonly place?: Place;
}

export type Place = 'Free' | 'Ours' | 'Shared';

type State = DnsRecordStatus['state'];

interface Found {
  readonly state: State;
  readonly value: string;
  readonly observed?: string;
  readonly fault?: string;
}

const longestObserved = 2048;
/** More than that are not worth the work of being made into one. */
const mostSpfRecords = 3;

export function checkRecord(record: DnsRecord, sight: RecordSight | undefined): CheckedRecord {
  const found = sight === undefined ? { state: 'Unknown' as const, value: record.value } : judge(record, sight);
  const { name, type, purpose } = record;
  const observed = 'observed' in found ? found.observed : undefined;
  return {
    ...{ name, type, purpose, value: found.value, state: found.state },
    ...(observed !== undefined && { observed: copied(observed.slice(0, longestObserved)) }),
    ...placeOf(record, sight),
    fault: 'fault' in found ? found.fault : undefined,
  };
}

/** Known only when nobody is silent: who did not answer may have the owner's record. */
function placeOf({ value }: DnsRecord, sight: RecordSight | undefined): { readonly place?: Place } {
  const servers = sight?.answer.servers ?? [];
  const isKnown = servers.length > 0 && sight?.answer.problem === undefined;
  if (!isKnown || servers.some(({ said }) => said.kind === 'Silent')) return {};
  const texts = servers.flatMap(({ said }) => (said.kind === 'Texts' ? said.texts : []));
  if (texts.length === 0) return { place: 'Free' };
  return { place: texts.every(text => text === value) ? 'Ours' : 'Shared' };
}

/** A slice keeps all that it is from in memory, 64 KiB of an answer for each name that is watched. */
function copied(text: string): string {
  return Buffer.from(text).toString();
}

/** The worst of what any server says: receivers ask whichever they like. */
function judge(record: DnsRecord, sight: RecordSight): Found {
  const { servers, problem } = sight.answer;
  const perServer = servers.map(({ host, said }) => ({ host, found: judgeServer(record, said, sight) }));
  const of = (state: State) => perServer.find(({ found }) => found.state === state);
  const worst = of('Mismatch') ?? of('Missing') ?? of('Unknown');
  const value = perServer.find(({ found }) => found.state !== 'Unknown')?.found.value ?? record.value;
  if (worst === undefined && problem === undefined) return perServer[0]?.found ?? { state: 'Unknown', value };
  if (worst === undefined || (worst.found.state === 'Unknown' && problem !== undefined))
    return { state: 'Unknown', value, fault: `${record.name}: ${problem}` };
  if (worst.found.state === 'Unknown') {
    const silent = perServer.flatMap(({ host, found }) =>
      found.state === 'Unknown' ? [`${host} ${found.fault}`] : [],
    );
    return { state: 'Unknown', value, fault: `${record.name}: ${silent.join(', ')}` };
  }
  const isAll = perServer.every(({ found }) => found.state === worst.found.state);
  const where = isAll || worst.found.fault === undefined ? '' : ` (says ${worst.host}, not every server)`;
  return {
    ...worst.found,
    ...(worst.found.fault !== undefined && { fault: `${worst.found.fault}${where}` }),
  };
}

function judgeServer(record: DnsRecord, said: Said, sight: RecordSight): Found {
  if (said.kind === 'Silent') return { state: 'Unknown', value: record.value, fault: `gives no answer (${said.why})` };
  const texts = said.kind === 'Texts' ? said.texts : [];
  return judges[record.purpose](record, texts, sight);
}

const judges: Readonly<
  Record<DnsRecord['purpose'], (record: DnsRecord, texts: readonly string[], sight: RecordSight) => Found>
> = {
  DKIM: judgeKey,
  SPF: judgeSpf,
  DMARC: judgeOnly({ version: 'DMARC1', called: 'DMARC', isSame: isSamePolicy }),
  TLSRPT: judgeOnly({ version: 'TLSRPTv1', called: 'TLSRPT', isSame: isSameTlsReports }),
  MTASTS: judgeOnly({ version: 'STSv1', called: 'MTA-STS', isSame: isSameMtaSts }),
};

function judgeKey({ name, value }: DnsRecord, texts: readonly string[]): Found {
  if (texts.length === 0) return { state: 'Missing', value, fault: `${name} is missing` };
  // RFC 6376 s3.6.2.2: with several, which one is used is anybody's guess.
  const [only] = texts;
  if (texts.length === 1 && only !== undefined && isSameKey(only, value)) return { state: 'Published', value };
  const fault = texts.length > 1 ? `${name} has ${texts.length} records and must have one` : `${name} is another key`;
  return { state: 'Mismatch', value, observed: texts.join('\n'), fault };
}

function judgeSpf({ name, value }: DnsRecord, texts: readonly string[], { lookups, broken }: RecordSight): Found {
  const records = spfRecordsOf(texts);
  const own = termsOf(value).slice(0, -1);
  const [only] = records;
  const trouble = spfTrouble(name, lookups, broken);
  const andTrouble = trouble === undefined ? '' : `, and ${trouble}`;
  if (only === undefined) return { state: 'Missing', value, fault: `${name} has no SPF record${andTrouble}` };
  const observed = records.join('\n');
  if (records.some(({ length }) => length > longestSpf)) {
    const fault = `${name} has an SPF record of more than ${longestSpf} characters, which receivers do not read (RFC 7208 s3.4)`;
    return { state: 'Mismatch', value, observed, fault };
  }
  const merged = mergeSpf(only, own);
  if (records.length > mostSpfRecords)
    return { state: 'Mismatch', value, observed, fault: `${name} has ${records.length} SPF records and must have one` };
  if (records.length > 1) {
    // RFC 7208 s4.5: with two, receivers use none.
    const terms = records.slice(1).flatMap(record => mergeSpf(record, []).value.split(' ').slice(1, -1));
    const { value: all } = mergeSpf(only, [...new Set([...terms, ...own])]);
    return {
      state: 'Mismatch',
      value: all,
      observed,
      fault: `${name} has ${records.length} SPF records and must have one`,
    };
  }
  if (!merged.isThere) {
    const missing = own.filter(term => !termsOf(only).includes(term));
    return {
      state: 'Mismatch',
      value: merged.value,
      observed,
      fault: `${name} lacks ${missing.join(' ')}${andTrouble}`,
    };
  }
  return { state: 'Published', value: merged.value, ...(trouble !== undefined && { fault: trouble }) };
}

function spfTrouble(name: string, lookups: number | undefined, broken: readonly string[]): string | undefined {
  if (lookups !== undefined && lookups > mostLookups)
    return `the SPF record of ${name} costs more than ${mostLookups} look-ups, so that receivers refuse it (RFC 7208 s4.6.4)`;
  return broken.length === 0
    ? undefined
    : `the SPF record of ${name} includes ${broken.join(', ')}, which has none, so that receivers refuse it (RFC 7208 s5.2)`;
}

interface TagList {
  readonly version: string;
  readonly called: string;
  readonly isSame: (published: string, wanted: string) => boolean;
}

/** RFC 7489 s6.6.3, RFC 8460 s3, RFC 8461 s3.1: other texts of the name are none, and of several none counts. */
function judgeOnly({ version, called, isSame }: TagList): (record: DnsRecord, texts: readonly string[]) => Found {
  return ({ name, value }, texts) => {
    const records = texts.filter(text => tagListOf(text)?.get('v')?.toUpperCase() === version.toUpperCase());
    const [only] = records;
    if (only === undefined) return { state: 'Missing', value, fault: `${name} is missing` };
    if (records.length === 1 && isSame(only, value)) return { state: 'Published', value };
    const fault =
      records.length > 1 ? `${name} has ${records.length} ${called} records` : `${name} says something else`;
    return { state: 'Mismatch', value, observed: records.join('\n'), fault };
  };
}
