/**
 * `npm run test:cluster [PATTERN...]`: set-up, then every journey whose path holds one of the patterns, each alone in a cluster of one node
 * in namespaces of its own. Up to three such clusters are up at once, one of them with the journeys under load, which run one after the
 * other (test/cluster/file-needs.ts). The last line is `N passed, N failed`. Linux, as root.
 *
 * For work on journeys: `node test/cluster/run.ts --boot` stays up until Ctrl-C; meanwhile `node test/cluster/run.ts PATTERN` of the same working
 * tree runs there, one journey after the other, instead of booting, and `node test/cluster/run.ts --exec COMMAND...` runs a command there (`kubectl get pods -A`, `bash`).
 *
 * With POSTROAD_TEST_CLUSTER=new it boots also then.
 *
 * Journeys under load are meant for 200 messages a second and more, say when it was less, and fail below 100; POSTROAD_TEST_LEAST_RATE lowers that, for a machine that others use as well.
 *
 * With POSTROAD_TEST_KUBECONFIG and POSTROAD_TEST_IMAGE nothing is booted: the journeys meet that cluster one after the other; it must have the image.
 * To be run on its node, as root: what stands for the Internet listens on the addresses of test/cluster/node/layout.ts, which must be the
 * node's own. Journeys that need power over the node are skipped, and say so.
 */
import { spawnSync } from 'node:child_process';
import { glob, mkdir } from 'node:fs/promises';
import { delimiter, dirname, join, relative } from 'node:path';
import { type FileResult, runTestFile, stopRunningFiles } from '../setup/file-run.ts';
import { cacheRoot } from '../setup/go-programs.ts';
import { clusterRequirements, setUpPackages } from '../setup/packages.ts';
import { report, summary } from '../setup/report.ts';
import { needOf, runInTurn } from '../setup/schedule.ts';
import { fileNeeds, mostClusters } from './file-needs.ts';
import { buildPeerImages } from './image/peers.ts';
import { buildProductImage } from './image/product.ts';
import { type BootedCluster, bootCluster, joinCommand } from './node/boot.ts';
import type { RunPaths } from './node/layout.ts';
import { findRun, type RunState, removeDeadRuns } from './node/run-folder.ts';
import { inPlaces, type Place } from './places.ts';
import { setUpSystemImages } from './setup/images.ts';
import { setUpOpenSmtpd } from './setup/opensmtpd.ts';
import { hasImagePrograms, nodePrograms, setUpAdapter, setUpEnforcer, setUpNodePrograms } from './setup/programs.ts';

const root = new URL('../..', import.meta.url).pathname;
const underCi = process.env['CI'] === 'true';
/** Beside the time that a file takes on a quiet machine. */
const fileLimitMs = 10 * 60_000;
const startedMs = performance.now();
const say = (line: string): void => console.log(line);
/** Of whatever fails in this run. */
const diagnosticsFolder = join(cacheRoot(), 'diagnostics', new Date().toISOString().replaceAll(':', '-').slice(0, 19));
const [mode, ...rest] = process.argv.slice(2);
const ending = new AbortController();
const boots: Promise<BootedCluster>[] = [];

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void stop(signal));

if (mode === '--exec') {
  const running = await findRun(root);
  if (running === undefined) throw new Error('no cluster of this working tree is up: node test/cluster/run.ts --boot');
  const { through = [], env } = await placeIn(running.paths, running.state);
  const [command = '', ...args] = [...through, ...rest];
  process.exitCode = spawnSync(command, args, { stdio: 'inherit', env: { ...process.env, ...env } }).status ?? 1;
} else if (mode === '--boot') {
  const booted = await boot(await setUp(), { tree: root });
  say(`cluster: up, run folder ${booted.paths.root}; Ctrl-C (or kill ${process.pid}) ends it`);
  say(await booted.ended);
  await endClusters();
} else {
  process.exitCode = await runFiles(process.argv.slice(2));
}

async function runFiles(patterns: readonly string[]): Promise<number> {
  const files = await testFiles(patterns);
  const results: FileResult[] = [];
  const there = files.some(isJourney) ? await placeThatIsThere() : undefined;
  const images = there === undefined || !files.every(isJourney) ? await setUp() : undefined;
  const inPlace = inPlaces(async () => {
    if (there !== undefined || images === undefined) return there ?? {};
    const { paths, state } = await boot(images);
    return await placeIn(paths, state);
  });

  async function run(file: string, place: Place): Promise<void> {
    const limitMs = fileLimitMs + 1000 * needOf(file, fileNeeds).seconds;
    const result = await runTestFile({ root, file, limitMs, ...place });
    // It was ended, and so will we be: no other may start.
    if (ending.signal.aborted) await new Promise<never>(() => undefined);
    results.push(result);
    say(summary(result, `${results.length}/${files.length}`, underCi));
  }

  try {
    // Those about the images and the boot have no use for a cluster that is up.
    await runInTurn(
      files,
      fileNeeds,
      file => (isJourney(file) ? inPlace(place => run(file, place)) : run(file, {})),
      there === undefined ? mostClusters : 1,
    );
  } finally {
    await endClusters();
  }
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

/** A cluster that is not for this run to boot, nor to end. */
async function placeThatIsThere(): Promise<Place | undefined> {
  const kubeconfig = process.env['POSTROAD_TEST_KUBECONFIG'];
  if (kubeconfig !== undefined) {
    say(`cluster: that of ${kubeconfig}`);
    return { env: { ...(await everywhere()), KUBECONFIG: kubeconfig } };
  }
  const running = process.env['POSTROAD_TEST_CLUSTER'] === 'new' ? undefined : await findRun(root);
  if (running === undefined) return undefined;
  say(`cluster: joining ${running.paths.id}`);
  return await placeIn(running.paths, running.state);
}

async function placeIn({ root: folder, id }: RunPaths, state: RunState): Promise<Place> {
  return {
    through: joinCommand(state, root),
    folderName: id,
    env: {
      ...(await everywhere()),
      KUBECONFIG: state.kubeconfig,
      POSTROAD_TEST_RUN: folder,
      ...(state.image !== undefined && { POSTROAD_TEST_IMAGE: state.image }),
    },
  };
}

/** The commands of the documentation find the kubectl and helm that were built; what failures leave is kept in one folder. */
async function everywhere(): Promise<Readonly<Record<string, string>>> {
  const { kubectl, helm } = await nodePrograms();
  await mkdir(dirname(diagnosticsFolder), { recursive: true });
  return {
    PATH: [dirname(kubectl), dirname(helm), process.env['PATH']].join(delimiter),
    POSTROAD_TEST_DIAGNOSTICS: diagnosticsFolder,
  };
}

async function boot({ archives, image }: Images, { tree }: { readonly tree?: string } = {}): Promise<BootedCluster> {
  const number = boots.length + 1;
  const booting = bootCluster({
    ...{ archives, image, signal: ending.signal, ...(tree !== undefined && { tree }) },
    say: line => say(`cluster ${number}: ${line}`),
  });
  boots.push(booting);
  return await booting;
}

interface Images {
  /** What every node needs, the product's among them. */
  readonly archives: readonly string[];
  /** Of the product. */
  readonly image: string;
}

async function setUp(): Promise<Images> {
  if (process.getuid?.() !== 0)
    throw new Error('a cluster can be booted here by root only; else POSTROAD_TEST_KUBECONFIG');
  const isBuilt = await hasImagePrograms();
  const missing = await setUpPackages(say, { packages: clusterRequirements, isBuilt });
  if (missing.length > 0) throw new Error(`a cluster cannot be booted without ${missing.join(', ')}`);
  await setUpNodePrograms(say);
  await setUpOpenSmtpd(say);
  const system = await setUpSystemImages(say);
  await setUpAdapter(say);
  await setUpEnforcer(say);
  const product = await buildProductImage(say);
  // Journeys that need them load them.
  await buildPeerImages(say);
  for (const run of await removeDeadRuns()) say(`set-up: removed what ${run} had left`);
  return { archives: [...system, product.archive], image: product.name };
}

/** Also those that are booting still. */
async function endClusters(): Promise<void> {
  ending.abort();
  for (const booted of await Promise.allSettled(boots)) {
    // One that did not boot has left nothing, and whoever waited for it knows.
    if (booted.status === 'fulfilled') await booted.value[Symbol.asyncDispose]();
  }
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  ending.abort();
  stopRunningFiles();
  await endClusters();
  // A file that was ended may have booted one itself.
  await removeDeadRuns();
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
