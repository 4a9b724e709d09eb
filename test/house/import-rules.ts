/** Who may import whom: the table. A room missing from it may import nothing, so a new room must be entered here. */
import type { Import } from './source-files.ts';

/** Files with a rule of their own; else the room is the folder. */
const roomOfFile: Readonly<Record<string, string>> = {
  'relay/schedule/retry.ts': 'relay/schedule/retry',
};

/** What every stage of the mail path may use: the language, time, and what configures it. */
const common = ['relay/smtp', 'relay/config', 'relay/clock', 'relay/secrets', 'relay/destination', 'relay/state'];

const allowed: Readonly<Record<string, readonly string[]>> = {
  crds: [],
  /** The chart is made from these. */
  charts: ['crds', 'operator'],
  'relay/smtp': [],
  'relay/config': [],
  'relay/clock': [],
  'relay/log': [],
  'relay/metrics': [],
  'relay/secrets': ['relay/config'],
  'relay/destination': ['relay/config'],
  'relay/state': ['relay/config', 'relay/secrets', 'relay/policy'],
  'relay/policy': common,
  'relay/sign': common,
  'relay/deliver': common,
  'relay/schedule/retry': common,
  /** The connection; what it is for is its user's to know. */
  'relay/redis': [],
  'relay/queue': [...common, 'relay/redis'],
  'relay/bounce': [...common, 'relay/sign'],
  'relay/accept': [...common, 'relay/policy', 'relay/sign', 'relay/queue'],
  'relay/schedule': [...common, 'relay/schedule/retry', 'relay/queue', 'relay/deliver', 'relay/bounce'],
  'relay/http': [],
  'relay/scrape': common,
  'relay/reload': common,
  /** Composes all stages; the process around it is main. */
  'relay/relay': [
    ...common,
    ...['accept', 'policy', 'sign', 'queue', 'schedule', 'deliver', 'bounce'].map(stage => `relay/${stage}`),
    ...['http', 'log', 'metrics', 'redis', 'reload', 'scrape'].map(part => `relay/${part}`),
  ],
  'relay/last-word': [],
  'relay/main': ['relay/relay', 'relay/config', 'relay/last-word', 'relay/log'],
  operator: ['crds', 'relay/config', 'relay/clock', 'relay/log'],
};

/** Contracts whose types alone may cross: who gets the thing itself is main's to say. */
const typesOf: Readonly<Record<string, RegExp>> = {
  'relay/log.ts': /^relay\//,
  'relay/metrics.ts': /^relay\//,
  'relay/queue/queue.ts': /^relay\/(accept|bounce|deliver|schedule|scrape)\b/,
  'relay/sign/signer.ts': /^relay\/(accept|bounce|schedule)\b/,
};

/** Where a package's types may be seen; a package missing here may be imported nowhere. */
const adapters: Readonly<Record<string, RegExp>> = {
  'smtp-server': /^relay\/accept\//,
  nodemailer: /^relay\/deliver\//,
  ioredis: /^relay\/redis\/connection\.ts$/,
  mailauth: /^relay\/sign\//,
  /** In standalone its lock is a lock on a folder, not a store. */
  'node:sqlite': /^(relay\/queue\/sqlite\/|operator\/standalone\/lock\.ts$)/,
  pino: /^relay\/log\.ts$/,
  'prom-client': /^(relay|operator)\/metrics\.ts$/,
  'dns-packet': /^operator\/dns\/exchange\.ts$/,
  fastify: /^relay\/http\.ts$/,
  zod: /^(relay\/config\.ts$|crds\/)/,
  yaml: /^(charts\/|crds\/|operator\/standalone|operator\/kube\/plain-kubeconfig\.ts$)/,
  '@kubernetes/client-node': /^operator\/kube\/kubeconfig\.ts$/,
  '@peculiar/x509': /^operator\/mailrelay\/certificate\.ts$/,
  'reflect-metadata': /^operator\/mailrelay\/certificate\.ts$/,
};

export function roomOf(path: string): string {
  const own = roomOfFile[path];
  if (own !== undefined) return own;
  const [top = '', second = ''] = path.split('/');
  return top === 'relay' ? `relay/${second.replace(/\.ts$/, '')}` : top;
}

export function faultsOfImport(found: Import): string[] {
  return found.isOurs ? faultsOfRoom(found) : faultsOfPackage(found);
}

function faultsOfRoom({ from, to, isType }: Import): string[] {
  const [here, there] = [roomOf(from), roomOf(to)];
  if (here === there || allowed[here]?.includes(there)) return [];
  if (isType && typesOf[to]?.test(from)) return [];
  return [`${from} imports ${to}: ${here} may not import ${there}`];
}

function faultsOfPackage({ from, to }: Import): string[] {
  const name = packageOf(to);
  const adapter = adapters[name];
  if (adapter === undefined && name.startsWith('node:')) return [];
  return adapter?.test(from) ? [] : [`${from} imports ${to}, which belongs in ${adapter ?? 'no file yet'}`];
}

/** `a/lib/b.js` is of `a`, `@s/a/b` of `@s/a`. */
function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return specifier.startsWith('@') ? parts.slice(0, 2).join('/') : (parts[0] ?? specifier);
}

/** The first cycle found, as the files in its order. Types count, too: what refers to each other can only be read all at once. */
export function findCycle(imports: readonly Import[]): string[] | undefined {
  const edges = Map.groupBy(
    imports.filter(({ isOurs }) => isOurs),
    ({ from }) => from,
  );
  const finished = new Set<string>();
  function visit(path: string, trail: readonly string[]): string[] | undefined {
    const seenAt = trail.indexOf(path);
    if (seenAt >= 0) return [...trail.slice(seenAt), path];
    if (finished.has(path)) return undefined;
    for (const { to } of edges.get(path) ?? []) {
      const cycle = visit(to, [...trail, path]);
      if (cycle !== undefined) return cycle;
    }
    finished.add(path);
    return undefined;
  }
  for (const path of edges.keys()) {
    const cycle = visit(path, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
