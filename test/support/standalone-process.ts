/** standalone over a copy of examples/quickstart, on ports of its own. */
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { startProcess } from './processes.ts';
import { type MetricValues, parseMetrics } from './relay-process.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { waitUntil } from './wait-until.ts';

export interface Captured {
  readonly id: string;
  readonly reversePath: string;
  readonly forwardPaths: readonly string[];
}

export interface Standalone extends AsyncDisposable {
  /** By the port that clients see: 25, 587, 465. */
  readonly ports: ReadonlyMap<number, number>;
  readonly dataDir: string;
  /** TXT records it asked to have published, by name without the last dot. */
  readonly records: Readonly<Record<string, string>>;
  captured(): Promise<readonly Captured[]>;
  raw(id: string): Promise<Buffer>;
  metrics(): Promise<MetricValues>;
}

const root = new URL('../..', import.meta.url).pathname;

export async function startQuickstart(): Promise<Standalone> {
  const folder = await temporaryFolder();
  const manifests = join(folder.path, 'manifests');
  const dataDir = join(folder.path, 'data');
  await cp(join(root, 'examples/quickstart'), manifests, { recursive: true });
  const ports = await ownPorts(join(manifests, 'relay.yaml'));
  const http = await freePort();
  const lines: string[] = [];
  const owned = startProcess(
    process.execPath,
    [
      join(root, 'operator/standalone.ts'),
      ...['--manifests', manifests, '--data-dir', dataDir, '--http', `127.0.0.1:${http}`],
    ],
    { onLine: line => lines.push(line) },
  );
  const get = async (path: string): Promise<Response> => {
    const response = await fetch(`http://127.0.0.1:${http}${path}`, { signal: AbortSignal.timeout(10_000) });
    assert.equal(response.status, 200, path);
    return response;
  };
  async function dispose(): Promise<void> {
    await owned.stop('SIGTERM', 40_000);
    await folder[Symbol.asyncDispose]();
  }
  try {
    await waitUntil('standalone to be ready', () => lines.some(line => line.includes('"msg":"ready"')), {
      limitMs: 30_000,
    });
  } catch (cause) {
    await dispose();
    throw new Error(`standalone did not start:\n${lines.join('\n')}\n${owned.errors()}`, { cause });
  }
  return {
    ports,
    dataDir,
    records: txtRecords(lines),
    captured: async () => (await (await get('/captured')).json()) as Captured[],
    raw: async id => Buffer.from(await (await get(`/captured/${id}`)).arrayBuffer()),
    metrics: async () => parseMetrics(await (await get('/metrics')).text()),
    [Symbol.asyncDispose]: dispose,
  };
}

/** The example's listeners stay as they are but for where they are bound. */
async function ownPorts(file: string): Promise<Map<number, number>> {
  const text = await readFile(file, 'utf8');
  const ports = new Map<number, number>();
  for (const [, port] of text.matchAll(/\bport: (\d+),/g)) ports.set(Number(port), await freePort());
  assert.deepEqual([...ports.keys()], [25, 587, 465]);
  await writeFile(
    file,
    text.replaceAll(/\bport: (\d+),/g, (line, port) => `${line} bindPort: ${ports.get(Number(port))},`),
  );
  return ports;
}

/** Lines of a zone file: `name. ttl IN TXT "part" "part"`. */
function txtRecords(lines: readonly string[]): Record<string, string> {
  const found = lines.flatMap(line => {
    const groups = /^\s*(?<name>\S+)\. \d+ IN TXT (?<parts>".*")$/.exec(line)?.groups;
    if (groups === undefined) return [];
    const parts = [...(groups['parts'] ?? '').matchAll(/"([^"]*)"/g)].map(([, part]) => part);
    return [[groups['name'] ?? '', parts.join('')] as const];
  });
  return Object.fromEntries(found);
}
