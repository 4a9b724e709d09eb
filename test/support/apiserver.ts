/**
 * A real API server of the test's own: etcd, kube-apiserver and, where asked for, kube-controller-manager, each on a port of its own with
 * its files in a temporary folder. It has no nodes: pods are objects that never run.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { get as getPlain } from 'node:http';
import { get as getTls } from 'node:https';
import { join } from 'node:path';
import type { Connection } from '../../operator/kube/connection.ts';
import { type ApiServerPrograms, findApiServerPrograms } from '../apiserver/setup/programs.ts';
import { type AuditedRequest, auditPolicy, readAuditLog } from './apiserver-audit.ts';
import {
  type ApiServerCertificates,
  certificateUser,
  createApiServerCertificates,
  type KeyPair,
  writeKubeconfig,
} from './apiserver-certificates.ts';
import { freePort } from './free-port.ts';
import { type OwnedProcess, startProcess } from './processes.ts';
import { temporaryFolder } from './temporary-folder.ts';
import { waitUntil } from './wait-until.ts';

export interface ApiServerOptions {
  /** Garbage collection, StatefulSets' and Deployments' pods, PodDisruptionBudgets. */
  readonly controllerManager?: boolean;
  /** Which, where not all that make sense without nodes. */
  readonly controllers?: readonly string[];
  /** Disabled: auditLog() has nothing, and no request pays for it. */
  readonly audit?: 'Enabled' | 'Disabled';
  /** Go's GOGC, where memory is there to be had for processor time. */
  readonly garbagePercent?: number;
  /** The last of a name holds: these go before what is set here. */
  readonly flags?: readonly string[] | ((certificates: ApiServerCertificates) => Promise<readonly string[]>);
}

export interface ApiServerProcesses {
  readonly etcd: number;
  readonly server: number;
  readonly controllerManager: number | undefined;
}

export interface TestApiServer extends AsyncDisposable {
  readonly url: string;
  /** Of an administrator. */
  readonly kubeconfigFile: string;
  readonly admin: Connection;
  /** Whose certificates all are. */
  readonly caFile: string;
  readonly certificates: ApiServerCertificates;
  /** By their pids, as of now. */
  readonly processes: ApiServerProcesses;
  /** Its own certificate, for who takes its place. */
  readonly keys: KeyPair;
  /** Of somebody else: a service account's token, say. */
  connectionWith(headers: Readonly<Record<string, string>>): Promise<Connection>;
  /** Every request since the start, by the server's own audit log. */
  auditLog(): Promise<readonly AuditedRequest[]>;
  /** Ends kube-apiserver alone, at once unless said otherwise (in order it takes its time over open watches); what was stored stays. */
  stopServer(signal?: NodeJS.Signals): Promise<void>;
  startServer(): Promise<void>;
  /** For one who installs kinds first: the garbage collector learns of later ones with a delay of up to a minute. */
  startControllerManager(): Promise<void>;
  /** Compacts etcd up to now: nothing can be watched or paged from before. */
  compact(): Promise<void>;
}

const startLimitMs = 60_000;
/** Half of a start's processor time is collecting garbage by Go's own setting: 1 s of 2.5 for 120 MiB more. */
const goEnvironment = { GOGC: '400' };

/** Nodes here have no kubelet that could report, and pods have loopback addresses, which endpoints may not hold. */
const sensibleControllers = [
  '*',
  ...['node-lifecycle', 'taint-eviction', 'endpoints', 'endpointslice'].map(name => `-${name}-controller`),
];

export async function startApiServer(options: ApiServerOptions = {}): Promise<TestApiServer> {
  const programs = await findApiServerPrograms();
  if (programs === undefined) throw new Error('kube-apiserver is not built: node test/apiserver/setup/main.ts');
  const folder = await temporaryFolder();
  const running: OwnedProcess[] = [];
  try {
    return await start(
      { ...options, programs, folder: folder.path, running },
      async () => await folder[Symbol.asyncDispose](),
    );
  } catch (error) {
    await endAll(running);
    await folder[Symbol.asyncDispose]();
    throw error;
  }
}

interface Start extends ApiServerOptions {
  readonly programs: ApiServerPrograms;
  readonly folder: string;
  /** In the order of their starts. */
  readonly running: OwnedProcess[];
}

async function start(options: Start, removeFolder: () => Promise<void>): Promise<TestApiServer> {
  const { programs, folder, running, controllerManager = false } = options;
  const [certificates, etcd] = await Promise.all([createApiServerCertificates(folder), startEtcd(options)]);
  const etcdUrl = etcd.url;
  const port = await freePort();
  const url = `https://127.0.0.1:${port}`;
  const flags = await serverFlags(options, certificates, { etcdUrl, port });
  const ca = await readFile(certificates.caFile);
  const admin = await adminConnection(url, ca, certificates);
  let server: OwnedProcess | undefined;

  async function startServer(): Promise<void> {
    server = startProcess(programs.kubeApiserver, flags, { env: goEnvironment });
    running.push(server);
    await untilReady(server, `${url}/readyz`, ca);
  }

  async function stopServer(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    await server?.stop(signal, 20_000);
    server = undefined;
  }

  await startServer();
  const kubeconfigFile = join(folder, 'admin.kubeconfig');
  await writeKubeconfig(kubeconfigFile, url, certificates.caFile, certificateUser(certificates.admin));
  let manager: OwnedProcess | undefined;
  const startManager = async (): Promise<void> => {
    manager = await startControllerManager(options, certificates, url);
  };
  if (controllerManager) await startManager();
  return {
    url,
    get processes() {
      return { etcd: etcd.pid, server: server?.pid ?? -1, controllerManager: manager?.pid };
    },
    ...{ kubeconfigFile, admin, certificates, caFile: certificates.caFile, keys: certificates.server },
    connectionWith: async headers => ({
      server: url,
      namespace: undefined,
      credentials: async () => ({ headers, tls: { ca } }),
    }),
    auditLog: () => readAuditLog(join(folder, 'audit.log')),
    startServer,
    stopServer,
    startControllerManager: startManager,
    compact: () => compact(etcdUrl),
    async [Symbol.asyncDispose]() {
      await endAll(running);
      await removeFolder();
    },
  };
}

async function startEtcd({
  programs,
  folder,
  running,
}: Start): Promise<{ readonly url: string; readonly pid: number }> {
  const [client, peer] = [`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`];
  const etcd = startProcess(programs.etcd, [
    ...['--name', 'test', '--data-dir', join(folder, 'etcd'), '--unsafe-no-fsync', '--log-level', 'error'],
    ...['--listen-client-urls', client, '--advertise-client-urls', client],
    ...['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `test=${peer}`],
  ]);
  running.push(etcd);
  await untilReady(etcd, `${client}/health`);
  return { url: client, pid: etcd.pid };
}

async function serverFlags(
  { folder, audit = 'Enabled', flags = [] }: Start,
  certificates: ApiServerCertificates,
  { etcdUrl, port }: { readonly etcdUrl: string; readonly port: number },
): Promise<string[]> {
  const { caFile, server, tokens } = certificates;
  const added = typeof flags === 'function' ? await flags(certificates) : flags;
  const policyFile = join(folder, 'audit-policy.json');
  await writeFile(policyFile, JSON.stringify(auditPolicy));
  const settings = {
    'etcd-servers': etcdUrl,
    'bind-address': '127.0.0.1',
    'secure-port': port,
    'endpoint-reconciler-type': 'none',
    'cert-dir': folder,
    'tls-cert-file': server.certificateFile,
    'tls-private-key-file': server.privateKeyFile,
    'client-ca-file': caFile,
    'service-account-key-file': tokens.certificateFile,
    'service-account-signing-key-file': tokens.privateKeyFile,
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-cluster-ip-range': '10.96.0.0/16',
    'authorization-mode': 'Node,RBAC',
    'allow-privileged': true,
    ...(audit === 'Enabled' && {
      'audit-policy-file': policyFile,
      'audit-log-path': join(folder, 'audit.log'),
      'audit-log-mode': 'blocking',
    }),
  };
  return [...Object.entries(settings).map(([name, value]) => `--${name}=${value}`), ...added];
}

async function startControllerManager(
  { programs, folder, running, controllers = sensibleControllers }: Start,
  { caFile, controllerManager, tokens }: ApiServerCertificates,
  url: string,
): Promise<OwnedProcess> {
  const kubeconfig = join(folder, 'controller-manager.kubeconfig');
  await writeKubeconfig(kubeconfig, url, caFile, certificateUser(controllerManager));
  const port = await freePort();
  const settings = {
    kubeconfig,
    'bind-address': '127.0.0.1',
    'secure-port': port,
    'cert-dir': folder,
    'leader-elect': false,
    'use-service-account-credentials': true,
    controllers: controllers.join(','),
    // Its default of 20 requests a second would be what tests of a thousand relays measure.
    'kube-api-qps': 1000,
    'kube-api-burst': 2000,
    'service-account-private-key-file': tokens.privateKeyFile,
    'root-ca-file': caFile,
  };
  const manager = startProcess(
    programs.kubeControllerManager,
    Object.entries(settings).map(([name, value]) => `--${name}=${value}`),
    { env: goEnvironment },
  );
  running.push(manager);
  await untilReady(manager, `https://127.0.0.1:${port}/healthz`, 'unchecked');
  return manager;
}

async function adminConnection(url: string, ca: Buffer, { admin }: ApiServerCertificates): Promise<Connection> {
  const [cert, key] = await Promise.all([readFile(admin.certificateFile), readFile(admin.privateKeyFile)]);
  return { server: url, namespace: undefined, credentials: async () => ({ headers: {}, tls: { ca, cert, key } }) };
}

/** Until the address answers 200; rejects with what the process said when it ends before. */
async function untilReady(process: OwnedProcess, address: string, trust?: Buffer | 'unchecked'): Promise<void> {
  let ended: string | undefined;
  process.exited.then(
    exit => {
      ended = `ended with ${exit.code ?? exit.signal}`;
    },
    (error: unknown) => {
      ended = String(error);
    },
  );
  await waitUntil(
    `${address} to answer`,
    async () => {
      if (ended !== undefined) throw new Error(`${address}: ${ended}\n${process.errors()}`);
      return await answers(address, trust);
    },
    { limitMs: startLimitMs, everyMs: 50 },
  );
}

async function answers(address: string, trust: Buffer | 'unchecked' | undefined): Promise<boolean> {
  const tls = trust === 'unchecked' ? { rejectUnauthorized: false } : { ca: trust };
  return await new Promise<boolean>(resolve => {
    const get = address.startsWith('https:') ? getTls : getPlain;
    const request = get(address, { agent: false, timeout: 5000, ...tls }, answer => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

async function compact(etcdUrl: string): Promise<void> {
  const range = await etcdCall(etcdUrl, 'kv/range', { key: 'AA==' });
  const revision = (range as { header: { revision: string } }).header.revision;
  await etcdCall(etcdUrl, 'kv/compaction', { revision, physical: true });
}

async function etcdCall(etcdUrl: string, call: string, body: object): Promise<unknown> {
  const answer = await fetch(`${etcdUrl}/v3/${call}`, { method: 'POST', body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`etcd ${call}: ${answer.status} ${await answer.text()}`);
  return await answer.json();
}

/** The last to be started first: a server without its etcd waits for it for long. */
async function endAll(running: readonly OwnedProcess[]): Promise<void> {
  for (const process of running.toReversed()) await process.stop('SIGKILL');
}
