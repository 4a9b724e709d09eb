/** Haraka, the relay on Node that users may come from. It is no dependency: it lives in a cache folder of the user who runs the bench. */
import { access, chmod, copyFile, mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { runProcess, startProcess } from '../../support/processes.ts';
import { RawClient } from '../../support/raw-client.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Contender, ContenderKind, Task } from './contender.ts';
import { freePort } from './free-port.ts';

const version = '3.3.4';
const relayPluginVersion = '1.0.2';
const prefix = join(homedir(), '.cache', 'postroad-bench', `haraka-${version}`);
const home = join(prefix, 'node_modules', 'Haraka');
const relayPlugin = join(prefix, 'node_modules', 'haraka-plugin-relay', 'package.json');
const installLimitMs = 10 * 60_000;

export const haraka: ContenderKind = {
  name: 'haraka',
  async prepare(say) {
    if (!(await installed()) && !(await install(say))) return undefined;
    return `Haraka ${version} on Node ${process.version}`;
  },
  refuses({ tls, dkimKeyFile, destinations }) {
    if (dkimKeyFile !== undefined) return 'its signing is a plugin that is not installed here';
    if (tls !== undefined) return 'only compared without TLS';
    return destinations > 1 ? 'only compared with a smart host' : undefined;
  },
  start,
};

async function installed(): Promise<boolean> {
  try {
    await Promise.all([access(join(home, 'bin', 'haraka')), access(relayPlugin)]);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

async function install(say: (line: string) => void): Promise<boolean> {
  say(`haraka: installing version ${version} into ${prefix}, once`);
  await mkdir(prefix, { recursive: true });
  const packages = [`Haraka@${version}`, `haraka-plugin-relay@${relayPluginVersion}`];
  const options = ['--no-audit', '--no-fund', '--omit=dev', '--omit=optional'];
  const { code, stderr } = await runProcess('npm', ['install', '--prefix', prefix, ...options, ...packages], {
    timeoutMs: installLimitMs,
  });
  if (code === 0) return true;
  say(`haraka: left out, npm could not install it: ${stderr.split('\n').slice(-3).join(' ')}`);
  return false;
}

async function start(task: Task): Promise<Contender> {
  const port = await freePort();
  await configure(task, port);
  const args = [join(home, 'bin', 'haraka'), '-c', task.folder];
  const process_ = startProcess(process.execPath, args, { cwd: task.folder });
  try {
    await waitUntil('Haraka to greet', () => greets(port), { limitMs: 20_000, everyMs: 50 });
  } catch (cause) {
    await process_.stop();
    throw new Error(`Haraka did not start: ${process_.errors()}`, { cause });
  }
  return {
    name: 'haraka',
    ports: [port],
    pids: [process_.pid],
    [Symbol.asyncDispose]: async () => void (await process_.stop('SIGTERM')),
  };
}

async function configure({ folder, sinkPort, sessions }: Task, port: number): Promise<void> {
  const config = join(folder, 'config');
  await mkdir(config);
  await mkdir(join(folder, 'queue'));
  await chmod(folder, 0o755);
  // Without a copy of its own defaults it does not greet.
  await copyFile(join(home, 'config', 'connection.ini'), join(config, 'connection.ini'));
  const files: Record<string, string> = {
    'smtp.ini': `listen=127.0.0.1:${port}\n`,
    'log.ini': '[main]\nlevel=notice\n',
    plugins: 'relay\n',
    'relay.ini': '[relay]\nacl=true\nforce_routing=true\n',
    relay_acl_allow: '127.0.0.0/8\n',
    'relay_dest_domains.ini': `[domains]\nany={"action":"continue","nexthop":"127.0.0.1:${sinkPort}"}\n`,
    'outbound.ini': `concurrency_max=${Math.max(100, sessions)}\nenable_tls=false\n`,
    'outbound.local_mx_ok': 'true\n',
    me: 'haraka.test\n',
  };
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(config, name), text)));
}

async function greets(port: number): Promise<boolean> {
  try {
    await (await RawClient.open(port)).quit();
    return true;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}
