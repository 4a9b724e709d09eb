/** All of a case: relays started and warmed, the sink's ceiling, then the pairs. */
import { generateKeyPairSync } from 'node:crypto';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeCertificate } from '../../support/certificate.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { type Case, describe } from './cases.ts';
import type { Contender, ContenderKind, Task } from './contender.ts';
import { type Figures, measure } from './measure.ts';
import { untilQuiet } from './quiet.ts';
import { report } from './report.ts';
import { type Sink, startSink } from './sink.ts';

export interface CaseOptions {
  readonly pairs: number;
  readonly seconds: number;
  /** Longest wait before each pair for a machine that nobody else uses. */
  readonly quietSeconds: number;
  readonly say: (line: string) => void;
}

const ours = 'postroad';
const ceilingSeconds = 1.5;
/** Least messages of a run, so that its ends do not count. */
const fewestMessages = 100;
/** A compiler that learns needs some thousands of messages before it is itself. */
const warmUps = [200, 1500, 3000];

export async function runCase(one: Case, kinds: readonly ContenderKind[], options: CaseOptions): Promise<string[]> {
  await using folder = await temporaryFolder();
  const address = one.destinations > 1 ? '0.0.0.0' : '127.0.0.1';
  await using sink = await startSink({ address, chunking: one.chunking });
  await using relays = new AsyncDisposableStack();
  const files = await makeFiles(one, folder.path);
  const contenders: Contender[] = [];
  for (const kind of kinds) {
    const refusal = kind.refuses?.(files);
    if (refusal !== undefined) {
      options.say(`${one.name}: without ${kind.name}: ${refusal}`);
      continue;
    }
    const ownFolder = join(folder.path, kind.name);
    await mkdir(ownFolder);
    await chmod(ownFolder, 0o755);
    const task: Task = { ...files, folder: ownFolder, sinkPort: sink.port, sessions: one.sessions };
    contenders.push(relays.use(await kind.start(task)));
  }
  options.say(`# ${one.name}: ${describe(one)}`);
  const ceiling = await measureCeiling(one, sink);
  options.say(
    `ceiling of generator and sink alone: ${ceiling.endToEndPerSecond.toFixed(0)}/s, sink ${ceiling.sinkCpuPerThousand.toFixed(3)} CPU s/1,000`,
  );
  const runs = await runPairs(one, contenders, sink, options);
  return report(one, runs, ours);
}

async function runPairs(
  one: Case,
  contenders: readonly Contender[],
  sink: Sink,
  { pairs, seconds, quietSeconds, say }: CaseOptions,
): Promise<Map<string, Figures[]>> {
  const rates = new Map<string, number>();
  for (const contender of contenders) {
    rates.set(contender.name, await warmUp(one, contender, sink));
    await contender.remarks?.(0);
  }
  const runs = new Map<string, Figures[]>(contenders.map(({ name }) => [name, []]));
  for (let pair = 1; pair <= pairs; pair++) {
    await untilQuiet(quietSeconds);
    for (const contender of contenders) {
      const messages = Math.max(fewestMessages, Math.round((rates.get(contender.name) ?? 0) * seconds));
      const figures = await measure(contender, sink, one, messages);
      rates.set(contender.name, rateOf(one, figures));
      runs.get(contender.name)?.push(figures);
      const remarks = (await contender.remarks?.(figures.messages)) ?? '';
      say(`${pair} ${contender.name.padEnd(9)} ${summary(figures)} ${remarks}`);
    }
  }
  return runs;
}

/** Returns what it did at last, messages a second. */
async function warmUp(one: Case, contender: Contender, sink: Sink): Promise<number> {
  const scale = one.sizeBytes > 50_000 ? 0.3 : 1;
  let rate = 0;
  for (const amount of warmUps) {
    // A slow one is warm after two seconds as well.
    const messages = rate === 0 ? amount * scale : Math.min(amount * scale, rate * 2);
    rate = rateOf(one, await measure(contender, sink, one, Math.round(messages)));
  }
  return rate;
}

/** What the length of the next run is reckoned by. Where the next hop defers, the end waits for retries, not for work. */
function rateOf({ deferEvery }: Case, { acceptedPerSecond, endToEndPerSecond }: Figures): number {
  return deferEvery > 0 ? acceptedPerSecond : endToEndPerSecond;
}

/** The same load with nothing in between; TLS is not the sink's to offer. */
async function measureCeiling(one: Case, sink: Sink): Promise<Figures> {
  const plain: Case = { ...one, tls: false, deferEvery: 0, dkim: false };
  const direct = { ports: [sink.port], pids: [] };
  const first = await measure(direct, sink, plain, 1000);
  return await measure(direct, sink, plain, Math.round(first.endToEndPerSecond * ceilingSeconds));
}

function summary(figures: Figures): string {
  const { acceptedPerSecond, endToEndPerSecond, cpuPerThousand, sinkBusy, strangersBusy } = figures;
  return [
    `${figures.messages} messages in ${figures.seconds.toFixed(1)} s:`,
    `${acceptedPerSecond.toFixed(0)}/s accepted, ${endToEndPerSecond.toFixed(0)}/s end to end,`,
    `${cpuPerThousand.toFixed(3)} CPU s/1,000, PSS ${(figures.peak.pssBytes / 2 ** 20).toFixed(0)} MiB,`,
    `${figures.connections} connections out, sink ${(sinkBusy * 100).toFixed(0)} % and strangers ${(strangersBusy * 100).toFixed(0)} % of a core`,
  ].join(' ');
}

async function makeFiles(one: Case, folder: string): Promise<Pick<Task, 'tls' | 'dkimKeyFile' | 'destinations'>> {
  return {
    tls: one.tls ? await makeTls(folder) : undefined,
    dkimKeyFile: one.dkim ? await makeDkimKey(folder) : undefined,
    destinations: one.destinations,
  };
}

async function makeTls(folder: string): Promise<Task['tls']> {
  const { certificate, privateKey } = await makeCertificate('relay.test');
  const files = { certificateFile: join(folder, 'certificate.pem'), privateKeyFile: join(folder, 'key.pem') };
  await writeFile(files.certificateFile, certificate);
  await writeFile(files.privateKeyFile, privateKey, { mode: 0o600 });
  return files;
}

async function makeDkimKey(folder: string): Promise<string> {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const file = join(folder, 'dkim.pem');
  await writeFile(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  return file;
}
