/** A real Postfix of the test's own: its configuration, queue and users in a temporary folder, its port on loopback. */
import { existsSync } from 'node:fs';
import { chmod, chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from './free-port.ts';
import { mustRun, type OwnedProcess, startProcess } from './processes.ts';
import { RawClient } from './raw-client.ts';
import { waitUntil } from './wait-until.ts';

export interface PostfixUser {
  readonly name: string;
  readonly password: string;
}

/** Takes mail after STARTTLS and AUTH only, and keeps each message as a file. */
interface Receiving {
  readonly role: 'receive';
  readonly user: PostfixUser;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

/** Takes mail from this machine without more ado, and passes it on after verified STARTTLS and AUTH. */
interface Sending {
  readonly role: 'send';
  readonly user: PostfixUser;
  readonly caFile: string;
  /** The name in the certificate of the relay it sends to. */
  readonly relayName: string;
  readonly relayPort: number;
}

/** Takes mail from this machine and passes it on as its settings say. */
interface Forwarding {
  readonly role: 'forward';
  readonly settings: Settings;
}

/** A host of the Internet: takes mail to anybody from anybody, and keeps each message as a file. */
interface Outside {
  readonly role: 'outside';
  readonly address: string;
  /** Before those of the role: a certificate, a restriction. */
  readonly settings?: Settings;
}

type PostfixOptions = Receiving | Sending | Forwarding | Outside;

export interface PostfixPeer extends AsyncDisposable {
  readonly port: number;
  /** Of the master: all other processes descend from it. */
  readonly pid: number;
  /** The files of the messages it took, in no order. */
  delivered(): Promise<readonly string[]>;
  /** Messages in its queue. */
  queued(): Promise<number>;
  log(): Promise<string>;
}

/** Lines of main.cf. */
export type Settings = Readonly<Record<string, string>>;

const programs = '/usr/lib/postfix/sbin';
const queueFolders =
  'active bounce corrupt defer deferred flush hold incoming maildrop private public saved trace'.split(' ');

const services = [
  'cleanup unix n - n - 0 cleanup',
  'qmgr unix n - n 300 1 qmgr',
  'tlsmgr unix - - n 1000? 1 tlsmgr',
  'rewrite unix - - n - - trivial-rewrite',
  'bounce unix - - n - 0 bounce',
  'defer unix - - n - 0 bounce',
  'trace unix - - n - 0 bounce',
  'proxymap unix - - n - - proxymap',
  'anvil unix - - n - 1 anvil',
  'scache unix - - n - 1 scache',
  'smtp unix - - n - - smtp',
  'error unix - - n - - error',
  'retry unix - - n - - error',
  'virtual unix - n n - - virtual',
  'postlog unix-dgram n - n - 1 postlogd',
];

/** `folder` must be one that other users may pass through. */
export async function startPostfix(folder: string, options: PostfixOptions): Promise<PostfixPeer> {
  const [address, port] = options.role === 'outside' ? [options.address, 25] : ['127.0.0.1', await freePort()];
  const owner = await postfixOwner();
  const mailFolder = join(folder, 'mail');
  await makeFolders(folder, mailFolder, owner);
  await writeSettings(join(folder, 'main.cf'), { ...common(folder), ...(await settingsOf(folder, options, owner)) });
  const servers = options.role === 'forward' ? '-' : '100';
  const listener = `${address}:${port} inet n - n - ${servers} smtpd`;
  await writeFile(join(folder, 'master.cf'), [listener, ...services, ''].join('\n'));
  const log = (): Promise<string> => readFile(join(folder, 'log'), 'utf8');
  // -d: stays in the foreground and in our process group.
  const master = startProcess(join(programs, 'master'), ['-c', folder, '-d'], { env: { MAIL_CONFIG: folder } });
  try {
    await waitUntil('Postfix to greet', () => greets(port, address), { limitMs: 20_000, everyMs: 50 });
  } catch (cause) {
    await stop(master);
    const text = `${master.errors()}\n${existsSync(join(folder, 'log')) ? await log() : 'no log'}`;
    throw new Error(`Postfix did not start:\n${text}`, { cause });
  }
  return {
    port,
    pid: master.pid,
    log,
    delivered: () => listFiles(join(mailFolder, 'new')),
    queued: async () =>
      (
        await Promise.all(['active', 'incoming', 'deferred'].map(name => countFiles(join(folder, 'queue', name))))
      ).reduce((sum, count) => sum + count),
    [Symbol.asyncDispose]: () => stop(master),
  };
}

/** Its servers, too: by themselves they end when their clients have left, and relays keep connections for ten seconds. */
async function stop(master: OwnedProcess): Promise<void> {
  const text = await readFile(`/proc/${master.pid}/task/${master.pid}/children`, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return '';
    throw error;
  });
  const ended = master.stop('SIGTERM');
  for (const id of text.split(' ').filter(each => each !== '')) {
    try {
      process.kill(Number(id), 'SIGTERM');
    } catch (error) {
      // It ended by itself.
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
  await ended;
}

interface Owner {
  readonly user: number;
  readonly group: number;
}

async function postfixOwner(): Promise<Owner> {
  const [user, group] = await Promise.all([mustRun('id', ['-u', 'postfix']), mustRun('id', ['-g', 'postfix'])]);
  return { user: Number(user), group: Number(group) };
}

async function makeFolders(folder: string, mailFolder: string, { user, group }: Owner): Promise<void> {
  await chmod(folder, 0o755);
  const queue = join(folder, 'queue');
  await mkdir(join(queue, 'pid'), { recursive: true, mode: 0o755 });
  const owned = [...queueFolders.map(name => join(queue, name)), join(folder, 'data'), mailFolder];
  for (const path of owned) {
    await mkdir(path, { mode: 0o700 });
    await chown(path, user, group);
  }
}

function common(folder: string): Settings {
  return {
    compatibility_level: '3.6',
    queue_directory: join(folder, 'queue'),
    data_directory: join(folder, 'data'),
    maillog_file: join(folder, 'log'),
    maillog_file_prefixes: folder,
    myhostname: 'postfix.test',
    mydestination: '',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    alias_maps: '',
    biff: 'no',
    smtputf8_enable: 'yes',
    message_size_limit: '52428800',
    mailbox_size_limit: '0',
    virtual_mailbox_limit: '0',
    disable_dns_lookups: 'yes',
    smtpd_peername_lookup: 'no',
    in_flow_delay: '0',
    smtpd_client_connection_count_limit: '0',
    default_process_limit: '40',
  };
}

async function settingsOf(folder: string, options: PostfixOptions, owner: Owner): Promise<Settings> {
  if (options.role === 'receive') return await receiving(folder, options, owner);
  if (options.role === 'outside') return outside(folder, options, owner);
  return options.role === 'send' ? await sending(folder, options) : options.settings;
}

async function receiving(
  folder: string,
  { user, certificateFile, privateKeyFile }: Receiving,
  owner: Owner,
): Promise<Settings> {
  const sasl = join(folder, 'sasl');
  await mkdir(sasl, { mode: 0o755 });
  const database = join(sasl, 'users');
  await writeFile(
    join(sasl, 'smtpd.conf'),
    `pwcheck_method: auxprop\nauxprop_plugin: sasldb\nsasldb_path: ${database}\nmech_list: PLAIN LOGIN\n`,
  );
  await mustRun('saslpasswd2', ['-c', '-p', '-f', database, '-u', 'postfix.test', user.name], { input: user.password });
  await chown(database, owner.user, owner.group);
  return {
    cyrus_sasl_config_path: sasl,
    smtpd_sasl_auth_enable: 'yes',
    smtpd_sasl_local_domain: 'postfix.test',
    smtpd_tls_security_level: 'encrypt',
    smtpd_tls_auth_only: 'yes',
    smtpd_tls_cert_file: certificateFile,
    smtpd_tls_key_file: privateKeyFile,
    mynetworks: '',
    smtpd_relay_restrictions: 'permit_sasl_authenticated, reject',
    ...keeping(folder, owner),
  };
}

function outside(folder: string, { settings = {} }: Outside, owner: Owner): Settings {
  return {
    mynetworks: '',
    smtpd_relay_restrictions: 'reject_unauth_destination',
    ...keeping(folder, owner),
    ...settings,
  };
}

/** Every message to whomever, in one folder. */
function keeping(folder: string, owner: Owner): Settings {
  return {
    virtual_mailbox_domains: 'static:all',
    virtual_mailbox_base: folder,
    virtual_mailbox_maps: 'static:mail/',
    virtual_uid_maps: `static:${owner.user}`,
    virtual_gid_maps: `static:${owner.group}`,
    virtual_minimum_uid: '1',
  };
}

async function sending(folder: string, { user, caFile, relayName, relayPort }: Sending): Promise<Settings> {
  // inline: would show the password in a list of processes; a text map does not need postmap either.
  const passwords = join(folder, 'passwords');
  await writeFile(passwords, `/^/ ${user.name}:${user.password}\n`, { mode: 0o644 });
  return {
    mynetworks: '127.0.0.0/8',
    relayhost: `[127.0.0.1]:${relayPort}`,
    smtp_sasl_auth_enable: 'yes',
    smtp_sasl_password_maps: `regexp:${passwords}`,
    smtp_sasl_security_options: 'noanonymous',
    smtp_tls_security_level: 'verify',
    smtp_tls_verify_cert_match: relayName,
    smtp_tls_CAfile: caFile,
    smtp_destination_concurrency_limit: '20',
    initial_destination_concurrency: '20',
    minimal_backoff_time: '2s',
    maximal_backoff_time: '4s',
    queue_run_delay: '2s',
  };
}

async function writeSettings(file: string, settings: Settings): Promise<void> {
  await writeFile(
    file,
    Object.entries(settings)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  );
}

async function greets(port: number, address: string): Promise<boolean> {
  try {
    await (await RawClient.open(port, address)).quit();
    return true;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

async function listFiles(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).map(name => join(folder, name));
  } catch (error) {
    // Made with the first message.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** Postfix spreads some of its queue over folders named by one hexadecimal digit. */
async function countFiles(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).length;
}
