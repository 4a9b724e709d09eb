/** Thousands of policies in one relay's configuration, each with an RSA-2048 and an Ed25519 key in files of their own: start, reload, memory. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { RelayConfigInput } from '../../../relay/config.ts';
import { freePort } from '../../support/free-port.ts';
import { RawClient } from '../../support/raw-client.ts';
import { type RelayProcess, relayConfig, startRelayProcess } from '../../support/relay-process.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { memoryOf } from '../relay/usage.ts';
import { below, type CaseContext, type Finding, inMib, percentile } from './finding.ts';

type Policy = NonNullable<RelayConfigInput['policies']>[number];

/** An RSA key takes 50 ms to make, so few are made; each file is read and parsed for itself all the same. */
const rsaKeys = 8;
/** As the operator spreads files over Secrets. */
const policiesInFolder = 100;
const reloads = 5;

export async function growPolicies(count: number, context: CaseContext): Promise<Finding[]> {
  await using folder = await temporaryFolder();
  const few = await run(await makePolicies(folder.path, 10), context);
  const many = await run(await makePolicies(folder.path, count), context);
  return [
    below(`${count} policies: ready after`, many.readyMs, 5000, 'ms'),
    { what: 'the same with 10', measured: `${few.readyMs.toFixed(0)} ms` },
    { what: `RSS once ready and reloaded (with 10)`, measured: `${inMib(many.rssBytes)} (${inMib(few.rssBytes)})` },
    {
      what: `one policy changed, until applied, p50 and highest of ${reloads} (with 10)`,
      measured: `${[many, few].map(({ reloadMs }) => `${percentile(reloadMs, 0.5).toFixed(0)}, ${Math.max(...reloadMs).toFixed(0)} ms`).join(' (')})`,
    },
    {
      what: 'longest that a new client waits for the reply to EHLO meanwhile, p50 and highest (with 10)',
      measured: `${[many, few].map(({ gapsMs }) => `${percentile(gapsMs, 0.5).toFixed(0)}, ${Math.max(...gapsMs).toFixed(0)} ms`).join(' (')})`,
    },
  ];
}

interface Figures {
  readonly readyMs: number;
  readonly rssBytes: number;
  readonly reloadMs: readonly number[];
  readonly gapsMs: readonly number[];
}

async function run(policies: readonly Policy[], { entry, nodeFlags }: CaseContext): Promise<Figures> {
  const smartHost = { host: '127.0.0.1', port: await freePort(), tls: 'Disabled' as const };
  const base = relayConfig({ route: { type: 'SmartHost', smartHost }, policies: [...policies] });
  const applied = new Set<string>();
  const onLog = (line: string): void => {
    if (line.includes('"msg":"configuration applied"')) applied.add(String(JSON.parse(line).revision));
  };
  await using relay = await startRelayProcess(base, { entry, nodeFlags, onLog });
  const { readyMs } = relay;
  // The ports are the system's choice; the first change names them, by which listeners begin anew.
  await relay.configure({ ...base, revision: 'with-ports' });
  await waitUntil('with-ports', () => applied.has('with-ports'), { limitMs: 60_000 });
  const reloadMs: number[] = [];
  const gapsMs: number[] = [];
  for (let n = 1; n <= reloads; n += 1) {
    const revision = `changed-${n}`;
    const [first, ...others] = policies;
    if (first === undefined) throw new Error('no policy');
    const changed = { ...first, bouncesTo: `bounces-${n}@example.com` };
    const calling = startCalling(relay);
    const begun = performance.now();
    await relay.configure({ ...base, revision, policies: [changed, ...others] });
    await waitUntil(revision, () => applied.has(revision), { limitMs: 60_000, everyMs: 1 });
    reloadMs.push(performance.now() - begun);
    gapsMs.push(await calling.stop());
  }
  return { readyMs, reloadMs, gapsMs, rssBytes: (await memoryOf([relay.pid])).rssBytes };
}

/** Clients that come one after the other; `stop` tells the longest that one waited for its greeting and the reply to EHLO, in milliseconds. */
function startCalling(relay: RelayProcess): { stop(): Promise<number> } {
  let isOver = false;
  let longestMs = 0;
  async function call(): Promise<void> {
    while (!isOver) {
      const began = performance.now();
      const client = await RawClient.open(relay.port());
      longestMs = Math.max(longestMs, performance.now() - began);
      await client.quit();
    }
  }
  const calling = call();
  // Whoever stops it hears of it.
  calling.catch(() => undefined);
  return {
    async stop() {
      isOver = true;
      await calling;
      return longestMs;
    },
  };
}

async function makePolicies(folder: string, count: number): Promise<Policy[]> {
  const rsa = Array.from({ length: rsaKeys }, () => generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
  const policies: Policy[] = [];
  for (let n = 0; n < count; n += 1) {
    const place = join(folder, `of-${count}-${Math.floor(n / policiesInFolder)}`);
    await mkdir(place, { recursive: true });
    const files = { rsa: join(place, `rsa-${n}.pem`), ed25519: join(place, `ed25519-${n}.pem`) };
    const { privateKey } = generateKeyPairSync('ed25519');
    await writeFile(files.rsa, rsa[n % rsaKeys]?.export({ type: 'pkcs8', format: 'pem' }) ?? '');
    await writeFile(files.ed25519, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    policies.push({
      namespace: `team-${n % 100}`,
      name: `policy-${n}`,
      domains: n === 0 ? ['example.com'] : [`d${n}.example.org`],
      senders: { namespaces: ['mail', `team-${n % 100}`] },
      dkim: [
        { selector: 'rsa', algorithm: 'RSA2048', privateKeyFile: files.rsa },
        { selector: 'ed', algorithm: 'Ed25519', privateKeyFile: files.ed25519 },
      ],
    });
  }
  return policies;
}
