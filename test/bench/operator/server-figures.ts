/** What the API server was asked, by its own metrics; leases are left out: they are renewed whatever happens. */
import type { Connection } from '../../../operator/kube/connection.ts';
import { rawConnection } from '../../apiserver/raw-request.ts';

/** By `VERB resource`, such as `PATCH mailrelays/status`. */
export type RequestCounts = ReadonlyMap<string, number>;

const writing = ['POST', 'PUT', 'PATCH', 'APPLY', 'DELETE', 'DELETECOLLECTION'];
/** Asked of the server, and not written. */
const reviews = /^(subjectaccessreviews|tokenreviews|selfsubjectaccessreviews|serviceaccounts\/token)$/;

export async function requestCounts(connection: Connection): Promise<RequestCounts> {
  using raw = rawConnection(connection);
  const { status, body } = await raw.send({ method: 'GET', path: '/metrics', accept: 'text/plain' });
  if (status !== 200) throw new Error(`the API server's metrics: ${status}`);
  const counts = new Map<string, number>();
  for (const [, text = '', value] of String(body).matchAll(/^apiserver_request_total\{([^}]*)\} (\S+)$/gm)) {
    const labels = new Map([...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', said = '']) => [name, said]));
    const { verb = '', resource = '', subresource = '' } = Object.fromEntries(labels);
    if (resource === 'leases') continue;
    const key = `${verb} ${resource}${subresource === '' ? '' : `/${subresource}`}`;
    counts.set(key, (counts.get(key) ?? 0) + Number(value));
  }
  return counts;
}

export function since(before: RequestCounts, after: RequestCounts): RequestCounts {
  const differences = [...after].map(([key, count]) => [key, count - (before.get(key) ?? 0)] as const);
  return new Map(differences.filter(([, count]) => count !== 0).sort(([, one], [, other]) => other - one));
}

export function writesOf(counts: RequestCounts): RequestCounts {
  return new Map(
    [...counts].filter(([key]) => {
      const [verb = '', resource = ''] = key.split(' ');
      return writing.includes(verb) && !reviews.test(resource);
    }),
  );
}

export function total(counts: RequestCounts): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}

export function byVerb(counts: RequestCounts): RequestCounts {
  const sums = new Map<string, number>();
  for (const [key, count] of counts) {
    const [verb = ''] = key.split(' ');
    sums.set(verb, (sums.get(verb) ?? 0) + count);
  }
  return sums;
}

export function listed(counts: RequestCounts, most = Number.POSITIVE_INFINITY): string {
  const entries = [...counts].sort(([, one], [, other]) => other - one);
  const shown = entries.slice(0, most).map(([key, count]) => `${key} ${count}`);
  return shown.join(', ') + (entries.length > most ? ', …' : '');
}
