/** SPF records (RFC 7208): what is there already is the owner's, and ours is added to it. There is never a second one. */

export interface MergedSpf {
  readonly value: string;
  /** What is there says it already. */
  readonly isThere: boolean;
}

const version = 'v=spf1';

/** RFC 7208 s4.5: other texts of the same name, also those that only begin like one, are none. */
export function spfRecordsOf(texts: readonly string[]): string[] {
  return texts.filter(text => /^v=spf1( |$)/i.test(text));
}

/** `own` are our mechanisms, `existing` a record that is there. The order of the owner's terms stays: it decides. */
export function mergeSpf(existing: string | undefined, own: readonly string[]): MergedSpf {
  // SoftFail: forwarding breaks SPF, and DMARC decides by DKIM where it does.
  if (existing === undefined) return { value: [version, ...own, '~all'].join(' '), isThere: false };
  const terms = termsOf(existing);
  const end = terms.findIndex(isLast);
  const effective = end < 0 ? terms : terms.slice(0, end);
  const known = new Set(effective.map(passing));
  const missing = own.filter(term => !known.has(passing(term)));
  if (missing.length === 0) return { value: existing, isThere: true };
  const rest = end < 0 ? [] : terms.slice(end);
  return { value: [version, ...effective, ...missing, ...rest].join(' '), isThere: false };
}

export function termsOf(record: string): string[] {
  return record.split(/ +/).slice(1).filter(Boolean);
}

/** RFC 7208 s5.1: nothing after `all` is asked; and a redirect is what follows when nothing matched. */
function isLast(term: string): boolean {
  return /^[-+~?]?all$/i.test(term) || /^redirect=/i.test(term);
}

/** `+` is said or not (RFC 7208 s4.6.2); names have no case. */
function passing(term: string): string {
  return term.replace(/^\+/, '').toLowerCase();
}

/** Names that a receiver looks up for a term, and the record that it then reads itself, if any. */
export interface SpfStep {
  readonly follows: string | undefined;
}

/** RFC 7208 s4.6.4: the terms that cost a look-up. A name with a macro is somebody else's each time, and not followed. */
export function lookupsOf(record: string): SpfStep[] {
  const terms = termsOf(record);
  const hasAll = terms.some(term => /^[-+~?]?all$/i.test(term));
  return terms.flatMap(term => {
    const [, name = '', target] =
      /^[-+~?]?(include|a|mx|ptr|exists|redirect)(?:[:=]([^/]+))?(?:\/.*)?$/i.exec(term) ?? [];
    const kind = name.toLowerCase();
    // RFC 7208 s6.1: ignored where there is an `all`.
    if (kind === '' || (kind === 'redirect' && hasAll)) return [];
    const follows = (kind === 'include' || kind === 'redirect') && target?.includes('%') === false;
    return [{ follows: follows ? target.toLowerCase().replace(/\.$/, '') : undefined }];
  });
}

export const mostLookups = 10;

export interface LookupCount {
  /** No more than one above what is allowed is counted. */
  readonly lookups: number;
  /** Includes of a name that has no SPF record: receivers give up on the whole record (RFC 7208 s5.2). */
  readonly broken: readonly string[];
}

/** `textsOf`: undefined where nothing is known now. Bounded by the number that is allowed. */
export async function countLookups(
  record: string,
  textsOf: (name: string) => Promise<readonly string[] | undefined>,
): Promise<LookupCount> {
  const waiting = lookupsOf(record);
  const broken: string[] = [];
  let lookups = 0;
  for (let step = waiting.shift(); step !== undefined && lookups <= mostLookups; step = waiting.shift()) {
    lookups += 1;
    if (step.follows === undefined) continue;
    const texts = await textsOf(step.follows);
    if (texts === undefined) continue;
    const [found] = spfRecordsOf(texts);
    if (found === undefined) broken.push(step.follows);
    else waiting.push(...lookupsOf(found));
  }
  return { lookups, broken };
}
