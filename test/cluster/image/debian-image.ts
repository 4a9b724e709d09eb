/** Debian as every image here begins: what debootstrap makes of the mirror that this machine's apt uses. */
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '../../support/processes.ts';
import type { Builder } from './builder.ts';

const suite = 'bookworm';
/** What `node:26-slim` has beside the minimum, and what Node itself loads. */
const packages = ['ca-certificates', 'libatomic1', 'libstdc++6'];

/** What no pod here needs of it; the licences in usr/share/doc stay. */
const leave = [
  'var/cache/apt/archives/*.deb',
  'var/lib/apt/lists/*',
  'var/log/*',
  'proc/*',
  'sys/*',
  'dev/*',
  'usr/share/locale/*',
  'usr/share/man/*',
];

/** The name of the image. */
export async function debianImage({ run, hasImage, build, scratch, say }: Builder): Promise<string> {
  const dockerfile =
    'FROM scratch\nADD root.tar /\nENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n';
  const key = createHash('sha256')
    .update(JSON.stringify([suite, packages, leave, dockerfile]))
    .digest('hex')
    .slice(0, 12);
  const name = `localhost/postroad-debian:${key}`;
  if (await hasImage(name)) return name;
  const mirror = await mirrorOfApt();
  say(`set-up: debootstrap ${suite} from ${mirror} (a minute, once)`);
  const root = join(scratch, 'debian');
  await run('debootstrap', '--variant=minbase', `--include=${packages.join(',')}`, suite, root, mirror);
  await writeFile(join(root, 'etc/apt/sources.list'), sourcesOf(mirror));
  const folder = join(scratch, 'debian-context');
  await run('mkdir', folder);
  await run('tar', '-C', root, ...leave.map(path => `--exclude=./${path}`), '-cf', join(folder, 'root.tar'), '.');
  await writeFile(join(folder, 'Dockerfile'), dockerfile);
  await build({ name, folder });
  return name;
}

/** The first one of this machine. @throws Error where it runs no Debian, or has no mirror. */
async function mirrorOfApt(): Promise<string> {
  if (!/^ID=debian$/m.test(await readFile('/etc/os-release', 'utf8'))) {
    throw new Error('the base of the image is made of what apt uses here, and this is no Debian');
  }
  const { stdout } = await runProcess('apt-get', ['indextargets', '--format', '$(SITE)', 'Created-By: Packages']);
  const [mirror] = stdout.split('\n');
  if (!mirror) throw new Error('apt names no mirror: /etc/apt has no sources');
  return mirror;
}

/** With the security archive beside the mirror, where it is in its usual place. */
function sourcesOf(mirror: string): string {
  return [
    `deb ${mirror} ${suite} main`,
    ...(mirror.endsWith('/debian') ? [`deb ${mirror}-security ${suite}-security main`] : []),
    '',
  ].join('\n');
}
