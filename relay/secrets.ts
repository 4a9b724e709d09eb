/** Everything secret that a configuration names by file, read together, so that a reload changes all of it or nothing (G5). */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createSecureContext } from 'node:tls';
import type { RelayConfig, RouteConfig } from './config.ts';

export interface Secrets {
  readonly tls: { readonly certificate: Buffer; readonly privateKey: Buffer; readonly notAfterMs: number } | undefined;
  /** Password or `$scrypt$…` hash by user name. */
  readonly users: ReadonlyMap<string, string>;
  /** By `privateKeyFile`. */
  readonly dkimKeys: ReadonlyMap<string, KeyObject>;
  /** By `credentialsDir`. */
  readonly credentials: ReadonlyMap<string, { readonly username: string; readonly password: string }>;
  /** PEM by `caFile`. */
  readonly trustAnchors: ReadonlyMap<string, string>;
  /** For the queue in Redis, by `credentialsDir`. A server without users knows no user name. */
  readonly redisCredentials: ReadonlyMap<string, { readonly username?: string; readonly password: string }>;
}

/** Keys by their file, with what it said: of thousands of them only those that changed are parsed again. */
export type KnownKeys = Map<string, { readonly pem: Buffer; readonly key: KeyObject }>;

/** `known` is brought up to date. @throws Error naming the file, never its content. */
export async function loadSecrets(config: RelayConfig, known: KnownKeys = new Map()): Promise<Secrets> {
  const smartHosts = [config.route, ...config.policies.map(policy => policy.route)].flatMap(smartHostOf);
  const redis = config.queue.type === 'Redis' ? config.queue.redis : undefined;
  const [tls, users, dkimKeys, credentials, trustAnchors, redisCredentials] = await Promise.all([
    loadTls(config),
    config.clients.usersDir === undefined ? new Map<string, string>() : loadEntries(config.clients.usersDir),
    loadEach(
      config.policies.flatMap(policy => policy.dkim.map(key => key.privateKeyFile)),
      path => loadPrivateKey(path, known),
    ),
    loadEach(
      smartHosts.flatMap(host => host.credentialsDir ?? []),
      loadCredentials,
    ),
    loadEach(
      [...smartHosts, redis].flatMap(host => host?.caFile ?? []),
      async path => await readFile(path, 'utf8'),
    ),
    loadEach(
      [redis?.credentialsDir, redis?.sentinel?.credentialsDir].filter(path => path !== undefined),
      loadRedisCredentials,
    ),
  ]);
  for (const path of known.keys()) if (!dkimKeys.has(path)) known.delete(path);
  return { tls, users, dkimKeys, credentials, trustAnchors, redisCredentials };
}

function smartHostOf(route: RouteConfig | undefined): Extract<RouteConfig, { type: 'SmartHost' }>['smartHost'][] {
  return route?.type === 'SmartHost' ? [route.smartHost] : [];
}

/** Thousands at once would stand before everybody else's work in the thread pool: signatures, spool files, names. */
const mostAtOnce = 4;

async function loadEach<T>(paths: readonly string[], load: (path: string) => Promise<T>): Promise<Map<string, T>> {
  const left = new Set(paths).values();
  const loaded = new Map<string, T>();
  // All of them share the one iterator.
  const loader = async (): Promise<void> => {
    for (const path of left) loaded.set(path, await load(path));
  };
  await Promise.all(Array.from({ length: mostAtOnce }, loader));
  return loaded;
}

async function loadTls({ tls }: RelayConfig): Promise<Secrets['tls']> {
  if (tls === undefined) return undefined;
  const [certificate, privateKey] = await Promise.all([readFile(tls.certificateFile), readFile(tls.privateKeyFile)]);
  try {
    createSecureContext({ cert: certificate, key: privateKey });
    return { certificate, privateKey, notAfterMs: new X509Certificate(certificate).validToDate.getTime() };
  } catch (cause) {
    throw new Error(`${tls.certificateFile} and ${tls.privateKeyFile} are not a certificate and its key`, { cause });
  }
}

async function loadPrivateKey(path: string, known: KnownKeys): Promise<KeyObject> {
  const pem = await readFile(path);
  const before = known.get(path);
  if (before?.pem.equals(pem)) return before.key;
  try {
    const key = createPrivateKey(pem);
    known.set(path, { pem, key });
    return key;
  } catch (cause) {
    throw new Error(`${path} is not a private key in PEM`, { cause });
  }
}

async function loadEntries(path: string): Promise<Map<string, string>> {
  return (await stat(path)).isDirectory() ? await loadDirectory(path) : await loadJsonObject(path);
}

/** A folder cannot be swapped in one step with the configuration that names it; a file of another name can. */
async function loadJsonObject(path: string): Promise<Map<string, string>> {
  const entries = entriesOf(await readFile(path, 'utf8'));
  if (entries === undefined) throw new Error(`${path} must be a JSON object of strings`);
  return new Map(entries.map(([name, text]) => [name, trimFinalNewline(text)]));
}

/** The error of JSON.parse would repeat what it read. */
function entriesOf(text: string): [string, string][] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const entries = Object.entries(value).map(([name, entry]) => [name, entry] as [string, unknown]);
    return entries.every((entry): entry is [string, string] => typeof entry[1] === 'string') ? entries : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** As Kubernetes mounts a Secret: a file a key; entries that begin with a dot are its own links. */
async function loadDirectory(path: string): Promise<Map<string, string>> {
  const names = (await readdir(path)).filter(name => !name.startsWith('.'));
  return new Map(
    await Promise.all(
      names.map(async name => [name, trimFinalNewline(await readFile(join(path, name), 'utf8'))] as const),
    ),
  );
}

async function loadCredentials(path: string): Promise<{ username: string; password: string }> {
  const entries = await loadEntries(path);
  const username = entries.get('username');
  const password = entries.get('password');
  if (username === undefined || password === undefined) throw new Error(`${path} must hold username and password`);
  return { username, password };
}

async function loadRedisCredentials(path: string): Promise<{ username?: string; password: string }> {
  const entries = await loadEntries(path);
  const username = entries.get('username') ?? '';
  const password = entries.get('password');
  if (password === undefined) throw new Error(`${path} must hold password`);
  return username === '' ? { password } : { username, password };
}

/** Secrets made with an editor or `echo` end in a newline that is not meant. */
function trimFinalNewline(text: string): string {
  return text.replace(/\r?\n$/, '');
}
