/**
 * `node image/system.ts FOLDER`: makes the root file system that Node needs, and nothing else: its binary, the libraries that it loads, a user.
 * Of each Debian package that a library is from, the folder has its licence and its entry in dpkg's status.d, where scanners look for it.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, existsSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('usage: node image/system.ts FOLDER');
const root: string = folder;

const run = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

function put(path: string, content: string): void {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}

function copy(from: string, to = from): void {
  const file = join(root, to);
  mkdirSync(dirname(file), { recursive: true });
  copyFileSync(realpathSync(from), file);
}

/** `/lib/x.so` and `/usr/lib/x.so` are the same file, and dpkg knows it by only one of the names. */
const names = (library: string): readonly string[] => {
  const below = library.replace(/^\/usr/, '');
  return [below, `/usr${below}`];
};

function packageOf(library: string): string {
  for (const name of names(library)) {
    try {
      return run('dpkg-query', '--search', name).split(':')[0] ?? '';
    } catch {
      // Known by the other name, or by none.
    }
  }
  throw new Error(`${library} is of no Debian package`);
}

const node = realpathSync(process.execPath);
copy(node, '/usr/local/bin/node');
chmodSync(join(root, '/usr/local/bin/node'), 0o755);

/** Where the kernel finds the loader (the last line of ldd), and the loader the rest. */
const libraries = [...run('ldd', node).matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, path]) => path ?? '');
if (libraries.length < 3) throw new Error(`ldd names only ${libraries.join(' ')}`);
for (const top of ['lib', 'lib64']) {
  mkdirSync(join(root, 'usr', top), { recursive: true });
  symlinkSync(`usr/${top}`, join(root, top));
}
for (const library of libraries) {
  copy(library, names(library)[1]);
  chmodSync(join(root, names(library)[1] ?? ''), 0o755);
}

for (const name of new Set(libraries.map(packageOf))) {
  put(`/var/lib/dpkg/status.d/${name}`, run('dpkg-query', '--status', name));
  copy(`/usr/share/doc/${name}/copyright`);
}
copy('/usr/lib/os-release');
copy('/usr/lib/os-release', '/etc/os-release');

put('/etc/passwd', 'root:x:0:0:root:/:/sbin/nologin\npostroad:x:10001:10001:postroad:/app:/sbin/nologin\n');
put('/etc/group', 'root:x:0:\npostroad:x:10001:\n');
put('/etc/nsswitch.conf', 'passwd: files\ngroup: files\nhosts: files dns\n');
mkdirSync(join(root, 'tmp'));
chmodSync(join(root, 'tmp'), 0o1777);

const licence = '/usr/local/LICENSE';
if (existsSync(licence)) copy(licence, '/usr/share/doc/node/copyright');
