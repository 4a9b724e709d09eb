/** A zone at two name servers, and which DKIM records each of them has served since when. */
import type { AuthoritativeDns } from '../support/authoritative-dns.ts';

export interface ServedZone {
  /** At both, or where it is said. Resolves when it is served. */
  serve(records: readonly string[], at?: 'Both' | 'One' | 'Two'): Promise<void>;
  /** Whether both servers had the key's record during all of the time; what nobody answers for stays as it was. */
  isVisible(selector: string, fromMs: number, toMs: number): boolean;
  /** Of whatever time: value of the record by its name. */
  readonly records: Readonly<Record<string, string>>;
  pause(): void;
  resume(): void;
}

interface ZoneParts {
  readonly zone: string;
  /** Plays the resolver. */
  readonly root: AuthoritativeDns;
  readonly servers: readonly [AuthoritativeDns, AuthoritativeDns];
  readonly now: () => number;
}

/** Selectors that a server has from this time on. */
interface Change {
  readonly timeMs: number;
  readonly selectors: ReadonlySet<string>;
}

export async function serveZone({ zone, root, servers, now }: ZoneParts): Promise<ServedZone> {
  const [one, two] = servers;
  const base = ['@ NS ns1', '@ NS ns2', `ns1 A ${one.address}`, `ns2 A ${two.address}`];
  const history = servers.map((): Change[] => [{ timeMs: Number.NEGATIVE_INFINITY, selectors: new Set() }]);
  const known: Record<string, string> = {};

  async function serveAt(index: number, records: readonly string[]): Promise<void> {
    const changes = history[index];
    const before = changes?.at(-1)?.selectors ?? new Set<string>();
    const next = new Set(records.flatMap(selectorOf));
    // While it loads the zone it may say the one or the other: only what is in both is there for sure.
    changes?.push({ timeMs: now(), selectors: before.intersection(next) });
    await servers[index]?.setZone(zone, [...base, ...records]);
    changes?.push({ timeMs: now(), selectors: next });
  }

  await root.setZone(zone, base);
  await Promise.all([serveAt(0, []), serveAt(1, [])]);
  return {
    records: known,
    async serve(records, at = 'Both') {
      for (const line of records) Object.assign(known, textOf(line));
      await Promise.all([
        ...(at === 'Two' ? [] : [serveAt(0, records)]),
        ...(at === 'One' ? [] : [serveAt(1, records)]),
      ]);
    },
    isVisible: (selector, fromMs, toMs) =>
      history.every(changes =>
        changes.every(
          ({ timeMs, selectors }, index) =>
            timeMs > toMs ||
            (changes[index + 1]?.timeMs ?? Number.POSITIVE_INFINITY) < fromMs ||
            selectors.has(selector),
        ),
      ),
    pause: () => {
      for (const server of servers) server.pause();
    },
    resume: () => {
      for (const server of servers) server.resume();
    },
  };
}

function selectorOf(line: string): string[] {
  const [, selector] = /^([^.]+)\._domainkey\./.exec(line) ?? [];
  return selector === undefined ? [] : [selector];
}

function textOf(line: string): Record<string, string> {
  const [, name] = /^(\S+)\. /.exec(line) ?? [];
  if (name === undefined) return {};
  return { [name]: [...line.matchAll(/"([^"]*)"/g)].map(([, part]) => part).join('') };
}
