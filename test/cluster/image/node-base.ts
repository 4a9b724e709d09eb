/** The image that the Dockerfile begins with, under its name, where no registry can be asked: Debian, the Node of the lock file, and npm. */
import { createHash } from 'node:crypto';
import { cp, mkdir, readFile, realpath, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from '../../support/processes.ts';
import type { Builder } from './builder.ts';
import { debianImage } from './debian-image.ts';

/** As the Dockerfile says it. */
export const nodeImage = 'docker.io/library/node:26-slim';
/** Of the line that comes with Node 26. */
const npmVersion = '11.19.1';
const root = new URL('../../..', import.meta.url).pathname;
const npmLimitMs = 5 * 60_000;

export async function makeNodeImage(builder: Builder): Promise<void> {
  const debian = await debianImage(builder);
  const { version } = JSON.parse(await readFile(join(root, 'node_modules/node/package.json'), 'utf8'));
  const link = 'ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm';
  const dockerfile = `FROM ${debian}\nCOPY node /usr/local/bin/node\nCOPY npm /usr/local/lib/node_modules/npm\nRUN ${link}\n`;
  const key = createHash('sha256')
    .update(JSON.stringify([version, npmVersion, dockerfile]))
    .digest('hex')
    .slice(0, 12);
  const name = `localhost/postroad-node:${key}`;
  if (!(await builder.hasImage(name))) {
    builder.say(`set-up: making ${nodeImage} of Node ${version} and npm ${npmVersion}`);
    const folder = join(builder.scratch, 'node-context');
    const prefix = join(builder.scratch, 'npm');
    await mkdir(folder);
    await cp(await realpath(join(root, 'node_modules/node/bin/node')), join(folder, 'node'));
    const options = ['--prefix', prefix, '--ignore-scripts', '--no-audit', '--no-fund'];
    await mustRun('npm', ['install', '--global', ...options, `npm@${npmVersion}`], { timeoutMs: npmLimitMs });
    await cp(join(prefix, 'lib/node_modules/npm'), join(folder, 'npm'), { recursive: true });
    await writeFile(join(folder, 'Dockerfile'), dockerfile);
    await builder.build({ name, folder });
  }
  await builder.buildah('tag', name, nodeImage);
}
