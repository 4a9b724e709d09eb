/**
 * A kubeconfig that asks for nothing but certificates and tokens, as an administrator's and a test's mostly is. The client library can do all
 * that kubectl can, but takes most of a second and 60 MB to load: it is for the others (kubeconfig.ts).
 */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import type { Connection, Credentials } from './connection.ts';

interface Entry {
  readonly name?: unknown;
}

interface Config {
  readonly 'current-context'?: unknown;
  readonly contexts?: readonly (Entry & { readonly context?: Fields })[];
  readonly clusters?: readonly (Entry & { readonly cluster?: Fields })[];
  readonly users?: readonly (Entry & { readonly user?: Fields })[];
}
type Fields = Readonly<Record<string, unknown>>;

const clusterFields = ['server', 'certificate-authority', 'certificate-authority-data', 'tls-server-name'];
const userFields = [
  'client-certificate',
  'client-certificate-data',
  'client-key',
  'client-key-data',
  'token',
  'tokenFile',
];

/** Undefined: it asks for more than is known here, or lacks something. */
export async function plainConnection(file: string, chosen: string | undefined): Promise<Connection | undefined> {
  const config = parse(await readFile(file, 'utf8')) as Config | null;
  const contextName = chosen ?? config?.['current-context'];
  const context = config?.contexts?.find(({ name }) => name === contextName)?.context;
  const cluster = config?.clusters?.find(({ name }) => name === context?.['cluster'])?.cluster;
  const user = config?.users?.find(({ name }) => name === context?.['user'])?.user;
  if (cluster === undefined || user === undefined) return undefined;
  if (!hasOnly(cluster, clusterFields) || !hasOnly(user, userFields)) return undefined;
  const { server, 'tls-server-name': servername } = cluster;
  const namespace = context?.['namespace'];
  if (typeof server !== 'string') return undefined;
  const folder = dirname(resolve(file));
  return {
    server,
    namespace: typeof namespace === 'string' ? namespace : undefined,
    async credentials(): Promise<Credentials> {
      const [ca, cert, key] = await Promise.all([
        material(cluster, 'certificate-authority', folder),
        material(user, 'client-certificate', folder),
        material(user, 'client-key', folder),
      ]);
      const token = await tokenOf(user, folder);
      return {
        headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
        tls: {
          ...(ca !== undefined && { ca }),
          ...(cert !== undefined && { cert }),
          ...(key !== undefined && { key }),
          ...(typeof servername === 'string' && { servername }),
        },
      };
    },
  };
}

function hasOnly(fields: Fields, known: readonly string[]): boolean {
  return Object.entries(fields).every(([name, value]) => known.includes(name) && typeof value === 'string');
}

/** kubectl: what is in the file itself comes before what it names. */
async function material(fields: Fields, name: string, folder: string): Promise<Buffer | undefined> {
  const [data, path] = [fields[`${name}-data`], fields[name]];
  if (typeof data === 'string') return Buffer.from(data, 'base64');
  return typeof path === 'string' ? await readFile(resolve(folder, path)) : undefined;
}

/** kubectl: a file's token comes before one that is given. */
async function tokenOf({ token, tokenFile }: Fields, folder: string): Promise<string | undefined> {
  if (typeof tokenFile === 'string') return (await readFile(resolve(folder, tokenFile), 'utf8')).trim();
  return typeof token === 'string' ? token : undefined;
}
