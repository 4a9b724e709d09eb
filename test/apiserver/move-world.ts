/**
 * A relay that is moved to another store, as docs/how-to/move-between-stores.md says it: real API server, controller manager and kubectl, both
 * controllers, relays as processes, Redis, name servers, mail that is sent all the time, and a next hop that can be down.
 */
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { domainPolicies, mailRelays } from '../../operator/cluster/kinds.ts';
import { isNotFound } from '../../operator/kube/errors.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import { commandsIn } from '../cluster/documented.ts';
import * as objects from '../crds/objects.ts';
import { makeCertificate } from '../support/certificate.ts';
import { runProcess } from '../support/processes.ts';
import { RawClient } from '../support/raw-client.ts';
import { type RedisPeer, startRedis } from '../support/redis.ts';
import { type ScriptedMx, startScriptedMx } from '../support/scripted-mx.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { numberedMail } from './numbered-mail.ts';
import { published } from './published-records.ts';
import { findApiServerPrograms } from './setup/programs.ts';
import { startWholeWorld, type WholeWorld } from './whole-world.ts';

export type Store = 'Volume' | 'Redis';

export interface MoveWorld extends WholeWorld, AsyncDisposable {
  readonly sink: ScriptedMx;
  readonly redis: RedisPeer;
  /** Outcomes by the number of the message. */
  readonly sent: readonly string[];
  /** The next hop answers every recipient with 451. */
  isDown: boolean;
  /** `spec.queue` of a relay. */
  queue(store: Store): object;
  relay(name: string): Promise<(MailRelay & KubeObject) | undefined>;
  policy(name: string): Promise<DomainPolicy & KubeObject>;
  /** All records that the policies ask for, of policies that have told of keys. */
  publish(...policies: readonly string[]): Promise<void>;
  /** Commands of the page that were run. */
  readonly followed: ReadonlySet<string>;
  /** The command of the page that begins so, with what is of a user's own put in place. @throws Error: what it said when it failed */
  follow(beginning: string, change?: (command: string) => string): Promise<string>;
  /** Through every pod of the relay, until it is told of another. */
  sendThrough(relay: string): Promise<void>;
  stopSending(): Promise<void>;
}

export const domain = 'shop.example';
const page = 'docs/how-to/move-between-stores.md';
const everyMs = 100;

export async function startMoveWorld(from: Store, pageText: string): Promise<MoveWorld> {
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await temporaryFolder());
  const redis = parts.use(await startRedis(folder.path));
  let isDown = false;
  const { privateKey, certificate } = await makeCertificate('next.example');
  const sink = parts.use(
    await startScriptedMx({
      tls: { key: privateKey.toString(), cert: certificate.toString() },
      script: ({ event }) => (isDown && event === 'RCPT' ? '451 4.3.0 come again' : undefined),
    }),
  );
  const { clock, zone, api, node } = await startWholeWorld({ domain, parts, folder: folder.path });

  const queue = (store: Store): object => {
    const server = { type: 'Single', addresses: [`127.0.0.1:${redis.port}`], tls: 'Disabled', durability: 'Fsync' };
    return store === 'Redis' ? { type: 'Redis', redis: server } : { type: 'Volume', volume: { size: '1Gi' } };
  };
  const relay = {
    replicas: 2,
    queue: queue(from),
    clients: { trustedNetworks: ['127.0.0.0/8'] },
    policies: { namespaces: { from: 'All' } },
    retry: { initialDelaySeconds: 1, maxDelaySeconds: 1 },
    // Nobody listens there: mail has to take the policy's own route.
    route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: 9, tls: 'Disabled' } },
  };
  await api.create(mailRelays, objects.mailRelay(relay) as KubeObject);
  const policy = {
    domains: [domain],
    // Those of a trusted network are of the namespace of the relay.
    senders: { namespaces: { from: 'All' } },
    dkim: { type: 'Managed', managed: { algorithms: ['Ed25519'] } },
    tls: { policy: 'Required' },
    route: { type: 'SmartHost', smartHost: { host: '127.0.0.1', port: sink.port, tls: 'Opportunistic' } },
  };
  await api.create(domainPolicies, objects.domainPolicy(policy) as KubeObject);

  const { kubectl = '' } = (await findApiServerPrograms()) ?? {};
  const env = { KUBECONFIG: api.server.kubeconfigFile, KUBECACHEDIR: join(folder.path, 'cache'), KUBERC: 'off' };
  const followed = new Set<string>();
  const sent: string[] = [];
  let sending: { readonly stop: AbortController; readonly done: Promise<unknown> } | undefined;

  async function send(address: string, signal: AbortSignal): Promise<void> {
    const client = await RawClient.open(2525, address);
    while (!signal.aborted) {
      const number = sent.push('under way') - 1;
      sent[number] = (await client.send(numberedMail(domain, number))).outcome;
      await delay(everyMs);
    }
    await client.quit();
  }

  async function stopSending(): Promise<void> {
    sending?.stop.abort();
    await sending?.done;
    sending = undefined;
  }

  const policyOf = (name: string) => api.get<DomainPolicy & KubeObject>(domainPolicies, { namespace: 'shop', name });
  const kept = parts.move();
  return {
    ...{ api, node, clock, zone, sink, redis, sent, queue, followed },
    get isDown() {
      return isDown;
    },
    set isDown(value) {
      isDown = value;
    },
    async relay(name) {
      try {
        return await api.get<MailRelay & KubeObject>(mailRelays, { namespace: 'mail', name });
      } catch (error) {
        if (isNotFound(error)) return undefined;
        throw error;
      }
    },
    policy: policyOf,
    async publish(...policies) {
      const all = await Promise.all(policies.map(policyOf));
      // What both ask for stands there once.
      await zone.serve([...new Set(all.flatMap(({ status }) => published(status?.dnsRecords ?? [])))]);
    },
    async follow(beginning, change = command => command) {
      const [command, second] = commandsIn(pageText).filter(one_ => one_.startsWith(beginning));
      if (command === undefined || second !== undefined) throw new Error(`${page} has not one command ${beginning}`);
      followed.add(command);
      const path = `${dirname(kubectl)}:${process.env['PATH'] ?? ''}`;
      const script = `set -o pipefail; ${change(command)}`;
      const { code, stdout, stderr } = await runProcess('bash', ['-c', script], {
        ...{ env: { ...env, PATH: path }, timeoutMs: 120_000 },
      });
      if (code !== 0) throw new Error(`${command}\nended with ${code}: ${stdout}\n${stderr}`);
      return stdout;
    },
    async sendThrough(name) {
      await stopSending();
      const stop = new AbortController();
      const pods = node.pods().filter(({ key }) => key.startsWith(`mail/${name}-relay-`));
      if (pods.length === 0) throw new Error(`${name} has no pods`);
      const done = Promise.all(pods.map(({ address }) => send(address, stop.signal)));
      // Awaited when it is stopped.
      done.catch(() => undefined);
      sending = { stop, done };
    },
    stopSending,
    async [Symbol.asyncDispose]() {
      sending?.stop.abort();
      await Promise.allSettled([sending?.done]);
      await kept[Symbol.asyncDispose]();
    },
  };
}
