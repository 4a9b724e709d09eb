/** Postfix tuned for throughput, with OpenDKIM as its milter where mail is signed. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startPostfix } from '../../support/postfix.ts';
import { mustRun, type OwnedProcess, runProcess, startProcess } from '../../support/processes.ts';
import { programsMissing } from '../../support/programs.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Contender, ContenderKind, Task } from './contender.ts';
import { transportTable } from './destinations.ts';
import { freePort } from './free-port.ts';

export const postfix: ContenderKind = {
  name: 'postfix',
  async prepare(say) {
    const missing = programsMissing('postfix', 'smtp-source', 'opendkim');
    if (missing !== false) {
      say(`postfix: ${missing}`);
      return undefined;
    }
    const version = await mustRun('postconf', ['-dh', 'mail_version']);
    const { stdout, stderr } = await runProcess('opendkim', ['-V']);
    const opendkim = /v(\S+)/.exec(stdout + stderr)?.[1] ?? 'of unknown version';
    return `Postfix ${version}, OpenDKIM ${opendkim}`;
  },
  start,
};

async function start(task: Task): Promise<Contender> {
  const milter = task.dkimKeyFile === undefined ? undefined : await startOpenDkim(task.dkimKeyFile, task.folder);
  try {
    const settings = { ...tuned(task), ...(await routes(task)), ...tls(task), ...(milter?.settings ?? {}) };
    const peer = await startPostfix(task.folder, { role: 'forward', settings });
    return {
      name: 'postfix',
      ports: [peer.port],
      pids: [peer.pid, ...(milter === undefined ? [] : [milter.process.pid])],
      async [Symbol.asyncDispose]() {
        await peer[Symbol.asyncDispose]();
        await milter?.process.stop();
      },
    };
  } catch (error) {
    await milter?.process.stop();
    throw error;
  }
}

/** Lower destination concurrency, fewer processes or a connection cache that is always on were 5 to 15 % slower. */
function tuned({ sessions }: Task): Record<string, string> {
  return {
    mynetworks: '127.0.0.0/8',
    default_process_limit: String(Math.max(200, sessions + 50)),
    default_destination_concurrency_limit: '50',
    initial_destination_concurrency: '20',
    qmgr_message_active_limit: '40000',
    qmgr_message_recipient_limit: '40000',
    // A deferred message comes back as soon as Postfix can: its queue manager looks once a second.
    minimal_backoff_time: '1s',
    maximal_backoff_time: '2s',
    queue_run_delay: '1s',
  };
}

async function routes({ folder, sinkPort, destinations }: Task): Promise<Record<string, string>> {
  if (destinations === 1) return { relayhost: `[127.0.0.1]:${sinkPort}` };
  const file = join(folder, 'transport');
  await writeFile(file, transportTable(destinations, sinkPort));
  return { transport_maps: `texthash:${file}` };
}

function tls({ tls: files }: Task): Record<string, string> {
  if (files === undefined) return {};
  return {
    smtpd_tls_security_level: 'may',
    smtpd_tls_cert_file: files.certificateFile,
    smtpd_tls_key_file: files.privateKeyFile,
  };
}

async function startOpenDkim(
  keyFile: string,
  folder: string,
): Promise<{ process: OwnedProcess; settings: Record<string, string> }> {
  const port = await freePort();
  const file = join(folder, 'opendkim.conf');
  const lines = {
    Mode: 's',
    Domain: 'example.com',
    Selector: 'bench',
    KeyFile: keyFile,
    Canonicalization: 'relaxed/relaxed',
    Socket: `inet:${port}@127.0.0.1`,
    InternalHosts: '127.0.0.0/8',
    Syslog: 'no',
    RequireSafeKeys: 'no',
    PidFile: join(folder, 'opendkim.pid'),
  };
  await writeFile(
    file,
    Object.entries(lines)
      .map(([name, value]) => `${name} ${value}\n`)
      .join(''),
  );
  const started = startProcess('opendkim', ['-f', '-x', file]);
  const socket = `inet:127.0.0.1:${port}`;
  try {
    await waitUntil('OpenDKIM to listen', () => listensOn(port, started));
  } catch (error) {
    await started.stop();
    throw error;
  }
  return { process: started, settings: { smtpd_milters: socket, milter_default_action: 'tempfail' } };
}

async function listensOn(port: number, { pid, errors }: OwnedProcess): Promise<boolean> {
  const { stdout } = await runProcess('ss', ['-ltnH', `sport = :${port}`]);
  if (stdout !== '') return true;
  try {
    process.kill(pid, 0);
  } catch (cause) {
    throw new Error(`OpenDKIM ended: ${errors()}`, { cause });
  }
  return false;
}
