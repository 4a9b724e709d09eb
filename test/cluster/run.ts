/**
 * `npm run test:cluster [PATTERN...]`: set-up, then boots a cluster of one node in namespaces of its own and runs in it, one after the other,
 * every journey whose path holds one of the patterns. The last line is `N passed, N failed`. Linux, as root.
 *
 * For work on journeys: `node test/cluster/run.ts --boot` stays up until Ctrl-C; meanwhile `node test/cluster/run.ts PATTERN` of the same working
 * tree runs in it instead of booting, and `node test/cluster/run.ts --exec COMMAND...` runs a command there (`kubectl get pods -A`, `bash`).
 *
 * Journeys under load ask for 200 messages a second; POSTROAD_TEST_LEAST_RATE lowers it, for a machine that others use as well.
 *
 * With POSTROAD_TEST_KUBECONFIG and POSTROAD_TEST_IMAGE nothing is booted: the journeys meet that cluster, which must have the image.
 */
import { spawnSync } from 'node:child_process';
import { glob, mkdir } from 'node:fs/promises';
import { delimiter, dirname, join, relative } from 'node:path';
import { type FileResult, runTestFile, stopRunningFiles } from '../setup/file-run.ts';
import { cacheRoot } from '../setup/go-programs.ts';
import { clusterRequirements, setUpPackages } from '../setup/packages.ts';
import { report, summary } from '../setup/report.ts';
import { buildPeerImages } from './image/peers.ts';
import { buildProductImage } from './image/product.ts';
import { type BootedCluster, bootCluster, joinCommand } from './node/boot.ts';
import { findRun, type RunState, removeDeadRuns } from './node/run-folder.ts';
import { setUpSystemImages } from './setup/images.ts';
import { setUpOpenSmtpd } from './setup/opensmtpd.ts';
import { hasImagePrograms, nodePrograms, setUpNodePrograms } from './setup/programs.ts';

const root = new URL('../..', import.meta.url).pathname;
const underCi = process.env['CI'] === 'true';
const fileLimitMs = 10 * 60_000;
const startedMs = performance.now();
const say = (line: string): void => console.log(line);
const [mode, ...rest] = process.argv.slice(2);
let booted: BootedCluster | undefined;

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(signal));

/** Where journeys run, and what they are told. */
interface Place {
  readonly through: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

if (mode === '--exec') {
  const { through, env } = await placeOfRunning();
  const [command = '', ...args] = [...through, ...rest];
  process.exitCode = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1;
} else if (mode === '--boot') {
  booted = await boot();
  say(`cluster: up, run folder ${booted.paths.root}; Ctrl-C (or kill ${process.pid}) ends it`);
  say(await booted.ended);
  await booted[Symbol.asyncDispose]();
} else {
  process.exitCode = await runJourneys(process.argv.slice(2));
}

async function runJourneys(patterns: readonly string[]): Promise<number> {
  const files = await testFiles(patterns);
  const results: FileResult[] = [];
  // Those about the cluster itself boot their own.
  const [inside, beside] = [files.filter(isJourney), files.filter(file => !isJourney(file))];
  if (beside.length > 0) await setUp();
  for (const file of beside) await run(file, {});
  const place = inside.length === 0 ? {} : await findPlace();
  for (const file of inside) await run(file, place);

  async function run(file: string, where: Partial<Place>): Promise<void> {
    const result = await runTestFile({ root, file, limitMs: fileLimitMs, ...where });
    results.push(result);
    say(summary(result, `${results.length}/${files.length}`, underCi));
  }

  await booted?.[Symbol.asyncDispose]();
  return report(results, { say, underCi, startedMs, patterns });
}

function isJourney(file: string): boolean {
  return file.startsWith('test/cluster/journeys/');
}

async function testFiles(patterns: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for await (const file of glob('test/cluster/**/*.test.ts', { cwd: root })) found.push(file);
  const files = found.map(file => relative(root, join(root, file))).sort();
  return patterns.length === 0 ? files : files.filter(file => patterns.some(pattern => file.includes(pattern)));
}

async function findPlace(): Promise<Place> {
  const kubeconfig = process.env['POSTROAD_TEST_KUBECONFIG'];
  if (kubeconfig !== undefined) {
    say(`cluster: that of ${kubeconfig}`);
    return { through: [], env: { KUBECONFIG: kubeconfig, ...(await programPath()), ...(await diagnosticsFolder()) } };
  }
  const running = await findRun(root);
  if (running !== undefined) {
    say(`cluster: joining ${running.paths.id}`);
    return await placeIn(running.paths.root, running.state);
  }
  booted = await boot();
  return await placeIn(booted.paths.root, booted.state);
}

async function placeOfRunning(): Promise<Place> {
  const running = await findRun(root);
  if (running === undefined) throw new Error('no cluster of this working tree is up: node test/cluster/run.ts --boot');
  return await placeIn(running.paths.root, running.state);
}

async function placeIn(folder: string, state: RunState): Promise<Place> {
  return {
    through: joinCommand(state, root),
    env: {
      ...(await programPath()),
      ...(await diagnosticsFolder()),
      KUBECONFIG: state.kubeconfig,
      POSTROAD_TEST_RUN: folder,
      ...(state.image !== undefined && { POSTROAD_TEST_IMAGE: state.image }),
    },
  };
}

/** The commands of the documentation find the kubectl and helm that were built. */
async function programPath(): Promise<Readonly<Record<string, string>>> {
  const { kubectl, helm } = await nodePrograms();
  return { PATH: [dirname(kubectl), dirname(helm), process.env['PATH']].join(delimiter) };
}

async function diagnosticsFolder(): Promise<Readonly<Record<string, string>>> {
  const folder = join(cacheRoot(), 'diagnostics', new Date().toISOString().replaceAll(':', '-').slice(0, 19));
  await mkdir(dirname(folder), { recursive: true });
  return { POSTROAD_TEST_DIAGNOSTICS: folder };
}

async function boot(): Promise<BootedCluster> {
  const archives = await setUp();
  const product = await buildProductImage(say);
  // Journeys that need them load them.
  await buildPeerImages(say);
  for (const run of await removeDeadRuns()) say(`set-up: removed what ${run} had left`);
  const all = [...archives, product.archive];
  return await bootCluster({ tree: root, archives: all, image: product.name, say });
}

/** Resolves to the images that every node needs, as archives. */
async function setUp(): Promise<readonly string[]> {
  if (process.getuid?.() !== 0)
    throw new Error('a cluster can be booted here by root only; else POSTROAD_TEST_KUBECONFIG');
  const isBuilt = await hasImagePrograms();
  const missing = await setUpPackages(say, { packages: clusterRequirements, isBuilt });
  if (missing.length > 0) throw new Error(`a cluster cannot be booted without ${missing.join(', ')}`);
  await setUpNodePrograms(say);
  await setUpOpenSmtpd(say);
  return await setUpSystemImages(say);
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  stopRunningFiles();
  await booted?.[Symbol.asyncDispose]();
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
