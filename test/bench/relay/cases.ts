/** What is compared. A case's name is the difference to `reuse`, the first of them. */

export interface Case {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sessions: number;
  readonly reuse: boolean;
  readonly tls: boolean;
  readonly dkim: boolean;
  /** Each n-th recipient is deferred once; 0: none. */
  readonly deferEvery: number;
  readonly destinations: number;
  /** Whether the next hop offers CHUNKING. */
  readonly chunking: boolean;
  /** End-to-end rate against Postfix that is aimed at. */
  readonly goal?: number;
}

const base: Case = {
  name: 'reuse',
  sizeBytes: 4096,
  sessions: 20,
  reuse: true,
  tls: false,
  dkim: false,
  deferEvery: 0,
  destinations: 1,
  chunking: true,
};

export const cases: readonly Case[] = [
  { ...base, goal: 5 },
  { ...base, name: 'connect', reuse: false, goal: 2.5 },
  { ...base, name: 'large', sizeBytes: 100 * 1024, goal: 1.5 },
  { ...base, name: 'single', sessions: 1, goal: 1.5 },
  { ...base, name: 'dkim', dkim: true, goal: 6 },
  { ...base, name: 'tls', tls: true, reuse: false, goal: 1 },
  { ...base, name: 'many', sessions: 200 },
  { ...base, name: 'many-connect', sessions: 200, reuse: false },
  { ...base, name: 'large-single', sizeBytes: 100 * 1024, sessions: 1 },
  { ...base, name: 'large-connect', sizeBytes: 100 * 1024, reuse: false },
  { ...base, name: 'large-many', sizeBytes: 100 * 1024, sessions: 200 },
  { ...base, name: 'large-dkim', sizeBytes: 100 * 1024, dkim: true },
  { ...base, name: 'tls-reuse', tls: true },
  { ...base, name: 'no-chunking', chunking: false },
  { ...base, name: 'large-no-chunking', sizeBytes: 100 * 1024, chunking: false },
  { ...base, name: 'defer', deferEvery: 10 },
  { ...base, name: 'destinations', destinations: 1000 },
];

export function describe(one: Case): string {
  return [
    `${one.sizeBytes / 1024} KiB`,
    `${one.sessions} session${one.sessions === 1 ? '' : 's'}`,
    one.reuse ? 'many messages a session' : 'one message a session',
    ...(one.tls ? ['STARTTLS with resumption'] : []),
    ...(one.dkim ? ['DKIM RSA-2048'] : []),
    ...(one.deferEvery > 0 ? [`next hop defers 1 of ${one.deferEvery}`] : []),
    ...(one.destinations > 1 ? [`${one.destinations} destinations`] : []),
    ...(one.chunking ? [] : ['next hop without CHUNKING']),
  ].join(', ');
}
