/** Somebody who publishes what a DomainPolicy asks for, as docs/how-to/publish-dns-records.md says, and remembers what was published when. */
import { setTimeout as delay } from 'node:timers/promises';
import type { DnsRecordStatus, DomainPolicy } from '../../../crds/domain-policy.ts';
import { published } from '../../apiserver/published-records.ts';
import type { KeyRecords } from '../../support/dkim-verifiers.ts';
import type { Cluster } from '../cluster.ts';
import type { Internet } from './internet.ts';

export interface DomainOwner extends AsyncDisposable {
  /** DKIM records by name, as anybody saw them at this time. */
  recordsAt(timeMs: number): KeyRecords;
}

export interface OwnedDomain {
  readonly cluster: Cluster;
  readonly internet: Internet;
  readonly namespace: string;
  readonly policy: string;
  readonly domain: string;
}

/** A record that is no longer asked for goes a little later: messages that it is needed for are under way. */
const underWayMs = 5000;
const everyMs = 250;

export function startDomainOwner({ cluster, internet, namespace, policy, domain }: OwnedDomain): DomainOwner {
  const history: { readonly timeMs: number; readonly records: KeyRecords }[] = [];
  const askedFor = new Map<string, { readonly record: DnsRecordStatus; timeMs: number }>();
  const end = new AbortController();
  let serving = '';

  async function publish(): Promise<void> {
    const { stdout } = await cluster.kubectl.run(['get', 'domainpolicy', policy, '-n', namespace, '-o', 'json']);
    // There is none yet.
    if (stdout === '') return;
    const { status } = JSON.parse(stdout) as DomainPolicy;
    const nowMs = Date.now();
    const wanted = (status?.dnsRecords ?? []).filter(({ purpose }) => purpose === 'DKIM');
    for (const record of wanted) askedFor.set(record.name, { record, timeMs: nowMs });
    for (const [name, { timeMs }] of askedFor) if (timeMs < nowMs - underWayMs) askedFor.delete(name);
    const records = [...askedFor.values()].map(({ record }) => record);
    const lines = published(records);
    if (lines.join('\n') === serving) return;
    await internet.serve(domain, lines);
    serving = lines.join('\n');
    history.push({ timeMs: Date.now(), records: Object.fromEntries(records.map(({ name, value }) => [name, value])) });
  }

  async function follow(): Promise<void> {
    await internet.serve(domain, []);
    while (!end.signal.aborted) {
      await publish();
      await delay(everyMs);
    }
  }

  const following = follow();
  // Whoever ends it hears of it.
  following.catch(() => undefined);
  return {
    recordsAt: timeMs => history.findLast(each => each.timeMs <= timeMs)?.records ?? {},
    async [Symbol.asyncDispose]() {
      end.abort();
      await following;
    },
  };
}
