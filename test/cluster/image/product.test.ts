/** What the product's image is made of. The archive is the one that the cluster's node is given. */
import assert from 'node:assert/strict';
import { chmod, glob, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mustRun, runProcess } from '../../support/processes.ts';
import { programsMissing } from '../../support/programs.ts';
import { relayConfig } from '../../support/relay-process.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { withBuilder } from './builder.ts';
import { type OpenedImage, openImage } from './opened-image.ts';
import { buildProduct, buildProductImage } from './product.ts';
import { startInImage } from './start-in-image.ts';

const repository = new URL('../../..', import.meta.url).pathname;
const mostBytes = 225e6;
const say = (line: string): void => console.log(line);

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly dev?: boolean }>>;
}

interface Bom {
  readonly components: readonly { readonly name: string; readonly version: string; readonly purl: string }[];
}

let archive = '';
let image: OpenedImage;
async function filesOf(pattern: string): Promise<string[]> {
  const found: string[] = [];
  for await (const file of glob(pattern, { cwd: image.root })) found.push(file);
  return found.sort();
}

async function find(...conditions: readonly string[]): Promise<string[]> {
  const found = await mustRun('find', [image.root, '-mindepth', '1', ...conditions, '-printf', '%P\n']);
  return found
    .split('\n')
    .filter(line => line !== '')
    .sort();
}

async function lockedPackages(): Promise<{ readonly needed: string[]; readonly others: string[] }> {
  const { packages } = JSON.parse(await readFile(join(repository, 'package-lock.json'), 'utf8')) as Lock;
  const all = Object.entries(packages).filter(([path]) => path !== '');
  return {
    needed: all.filter(([, { dev }]) => dev !== true).map(([path, { version }]) => `${path}@${version}`),
    others: all.filter(([, { dev }]) => dev === true).map(([path, { version }]) => `${path}@${version}`),
  };
}

const nameOf = (pathAndVersion: string): string => pathAndVersion.replace(/^.*node_modules\//, '');

describe('the image of the product', { skip: programsMissing('buildah', 'debootstrap') }, () => {
  before(async () => {
    ({ archive } = await buildProductImage(say));
    image = await openImage(archive);
  });
  after(async () => await image[Symbol.asyncDispose]());

  test('it runs as an ordinary user, and starts the operator unless told otherwise', () => {
    const { User, Entrypoint, Cmd, Env } = image.config.config;
    assert.equal(User, '10001:10001');
    assert.deepEqual(Entrypoint ?? [], []);
    assert.deepEqual(Cmd, ['node', '/app/operator/main.ts']);
    assert.ok(Env?.includes('PATH=/usr/local/bin'));
  });

  test('Node is its only program: no shell, no package manager, nothing with the rights of another', async () => {
    const programs = await find(
      '-type',
      'f',
      '-perm',
      '/111',
      '-not',
      '-path',
      '*/node_modules/*',
      '-not',
      '-name',
      '*.so*',
    );
    assert.deepEqual(programs, ['usr/local/bin/node']);
    assert.deepEqual(await find('-perm', '/6000'), []);
    assert.deepEqual(await find('-not', '-type', 'l', '-perm', '/022'), ['tmp']);
  });

  test('operator and relay start from it with a root that nobody may write to, as any user', async t => {
    for (const user of ['10001:10001', '1000680000:0']) {
      const help = await startInImage({ root: image.root, user, args: ['/app/operator/main.ts', '--help'] }).exited;
      assert.equal(help.code, 0, `as ${user}`);
    }
    await using data = await temporaryFolder();
    const figures: string[] = [];
    for (const user of ['10001:10001', '1000680000:0']) figures.push(await relayFigures(user, data.path));
    t.diagnostic(`a relay of the image until it is ready, and its memory then: ${figures.join('; ')}`);
  });

  test('the types are gone from its sources, and every name of a source leads to what is left', async () => {
    const names = await filesOf('app/{crds,operator,relay}/**/*.ts');
    assert.ok(names.length > 150, `${names.length} sources`);
    for (const name of names) {
      const text = await readFile(join(image.root, name), 'utf8');
      assert.doesNotMatch(text, /^(?:export )?(?:interface|type) \w/m, name);
    }
    const ours = [];
    for await (const file of glob('{crds,operator,relay}/**/*.ts', { cwd: repository })) ours.push(`app/${file}`);
    assert.deepEqual(names, ours.sort());
  });

  test('it has every package that the lock file wants in production, and no other', async () => {
    const { needed } = await lockedPackages();
    const there: string[] = [];
    for (const file of await filesOf('app/node_modules/**/package.json')) {
      if (!/node_modules\/(?:@[^/]+\/)?[^/@]+\/package\.json$/.test(file)) continue;
      const { version } = JSON.parse(await readFile(join(image.root, file), 'utf8')) as { readonly version: string };
      there.push(`${file.replace(/^app\//, '').replace(/\/package\.json$/, '')}@${version}`);
    }
    assert.deepEqual(there.sort(), needed.sort());
  });

  test('its list of parts names these packages, Node and the Debian packages of its libraries, and nothing of development', async () => {
    const { components } = JSON.parse(await readFile(join(image.root, 'app/sbom.cdx.json'), 'utf8')) as Bom;
    const fromNpm = components.filter(({ purl }) => purl.startsWith('pkg:npm/'));
    const listed = new Set(fromNpm.map(({ name, version }) => `${name}@${version}`));
    const { needed, others } = await lockedPackages();
    const wanted = new Set(needed.map(nameOf));
    assert.deepEqual([...wanted.difference(listed)], []);
    assert.deepEqual(
      others.map(nameOf).filter(each => listed.has(each) && !wanted.has(each)),
      [],
    );
    const system = components.filter(each => !fromNpm.includes(each)).map(({ name }) => name);
    assert.deepEqual(system.sort(), ['libatomic1', 'libc6', 'libgcc-s1', 'libstdc++6', 'node']);
    const licences = await filesOf('usr/share/doc/*/copyright');
    assert.ok(licences.includes('usr/share/doc/libc6/copyright'), licences.join(' '));
  });

  test('it is of the version that the package is, and says where it is from', async () => {
    const { version } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
    const labels = image.config.config.Labels ?? {};
    assert.equal(labels['org.opencontainers.image.version'], version);
    assert.equal(labels['org.opencontainers.image.licenses'], 'Apache-2.0');
    assert.match(labels['org.opencontainers.image.source'] ?? '', /^https:\/\//);
  });

  test('nothing of the machine that built it is in it', async () => {
    const registry = new URL((await mustRun('npm', ['config', 'get', 'registry'], { cwd: '/' })).trim()).host;
    const foreign = registry === 'registry.npmjs.org' ? [] : [registry];
    const traces = [...foreign, repository.replace(/\/$/, ''), '_authToken=', 'cafile=', '/root/.npmrc'];
    const history = image.config.history.map(({ created_by }) => created_by ?? '').join('\n');
    for (const trace of traces) {
      assert.ok(!history.includes(trace), `the history has ${trace}`);
      const { stdout } = await runProcess('grep', ['-rlF', '--exclude=node', trace, image.root], { timeoutMs: 60_000 });
      assert.equal(stdout, '', `files have ${trace}`);
    }
    assert.deepEqual(await find('-name', '.npmrc', '-o', '-name', '.package-lock.json'), []);
  });

  test('it is small', async t => {
    const { size } = await stat(archive);
    t.diagnostic(`the image: ${(size / 1e6).toFixed(0)} MB, of which Node ${await nodeMegabytes()}`);
    assert.ok(size < mostBytes, `${size} bytes`);
  });

  test('built again from nothing, it is the same to the last byte', { timeout: 240_000 }, async () => {
    await using again = await temporaryFolder();
    const second = join(again.path, 'again.tar');
    await withBuilder(say, async builder => {
      const name = 'localhost/postroad-again:test';
      await buildProduct(builder, name, ['--no-cache']);
      await builder.buildah('push', '--quiet', name, `docker-archive:${second}:${name}`);
      await builder.buildah('rmi', name);
    });
    await using other = await openImage(second);
    assert.deepEqual(other.config.rootfs.diff_ids, image.config.rootfs.diff_ids);
    assert.equal(other.id, image.id);
  });
});

async function nodeMegabytes(): Promise<string> {
  return ((await stat(join(image.root, 'usr/local/bin/node'))).size / 1e6).toFixed(0);
}

/** As kubelet starts it, but for its network. */
async function relayFigures(user: string, folder: string): Promise<string> {
  await chmod(folder, 0o755);
  const config = join(folder, 'relay.json');
  await writeFile(config, JSON.stringify(relayConfig({ route: { type: 'Capture' } })), { mode: 0o644 });
  const data = join(folder, user.replace(':', '-'));
  await mustRun('install', ['-d', '-o', user.split(':')[0] ?? '', data]);
  const startedMs = performance.now();
  const relay = startInImage({
    root: image.root,
    user,
    args: ['/app/relay/main.ts', '--config=/tmp/files/relay.json', `--data-dir=/tmp/files/${user.replace(':', '-')}`],
    files: folder,
  });
  try {
    await relay.said('"msg":"ready"');
    const readyMs = performance.now() - startedMs;
    return `${readyMs.toFixed(0)} ms, ${((await relay.memoryBytes()) / 2 ** 20).toFixed(0)} MiB as ${user}`;
  } finally {
    await relay.stop();
  }
}
