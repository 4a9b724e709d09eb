/** Lists of `tag=value` as DKIM keys and DMARC policies are (RFC 6376 s3.2). */

/** Undefined where it is none. Names in lower case, values without the space around them. */
export function tagListOf(text: string): ReadonlyMap<string, string> | undefined {
  const tags = new Map<string, string>();
  for (const part of text.split(';')) {
    if (part.trim() === '') continue;
    const [, name, value] = /^\s*([A-Za-z][A-Za-z0-9_]*)\s*=([\s\S]*)$/.exec(part) ?? [];
    if (name === undefined || value === undefined) return undefined;
    tags.set(name.toLowerCase(), value.trim());
  }
  return tags;
}

/** Whether a key that is published does for our signatures: by what it means, not by how it is written. */
export function isSameKey(published: string, wanted: string): boolean {
  const [there, ours] = [tagListOf(published), tagListOf(wanted)];
  if (there === undefined || ours === undefined) return false;
  const key = (tags: ReadonlyMap<string, string>): string => (tags.get('p') ?? '').replaceAll(/\s/g, '');
  const type = (tags: ReadonlyMap<string, string>): string => (tags.get('k') ?? 'rsa').toLowerCase();
  return (
    (there.get('v') ?? 'DKIM1') === 'DKIM1' &&
    key(there) === key(ours) &&
    type(there) === type(ours) &&
    allows(there.get('h'), 'sha256') &&
    allows(there.get('s'), 'email', '*')
  );
}

/** RFC 6376 s3.6.1: a list that is not there allows all. */
function allows(list: string | undefined, ...values: readonly string[]): boolean {
  return list === undefined || list.split(':').some(one => values.includes(one.trim().toLowerCase()));
}

/** Whether a DMARC policy that is published says what ours says; what it says beside that is the owner's. */
export function isSamePolicy(published: string, wanted: string): boolean {
  const [there, ours] = [tagListOf(published), tagListOf(wanted)];
  if (there === undefined || ours === undefined) return false;
  return there.get('p')?.toLowerCase() === ours.get('p')?.toLowerCase() && reportsAlso(there, ours);
}

/** Whether who is asked for reports on TLS sends them to us, too. */
export function isSameTlsReports(published: string, wanted: string): boolean {
  const [there, ours] = [tagListOf(published), tagListOf(wanted)];
  return there !== undefined && ours !== undefined && reportsAlso(there, ours);
}

export function isSameMtaSts(published: string, wanted: string): boolean {
  const id = tagListOf(published)?.get('id');
  return id !== undefined && id === tagListOf(wanted)?.get('id');
}

type Tags = ReadonlyMap<string, string>;

function reportsAlso(there: Tags, ours: Tags): boolean {
  const reports = (tags: Tags): string[] =>
    (tags.get('rua') ?? '').split(',').map(uri =>
      uri
        .trim()
        .toLowerCase()
        .replace(/![0-9]+[kmgt]?$/, ''),
    );
  return reports(ours)
    .filter(Boolean)
    .every(uri => reports(there).includes(uri));
}
