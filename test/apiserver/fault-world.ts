/** Operators, in this process and in one of their own, that reach a real API server through a proxy that fails as told. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { domainPolicies, mailRelays } from '../../operator/cluster/kinds.ts';
import { controllers } from '../../operator/controllers.ts';
import type { Connection } from '../../operator/kube/connection.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import { createUptime, type Uptime } from '../../operator/kube/uptime.ts';
import { type Operator, startOperator } from '../../operator/operator.ts';
import { parseOptions } from '../../operator/options.ts';
import { type Clock, systemClock } from '../../relay/clock.ts';
import { createLog } from '../../relay/log.ts';
import * as objects from '../crds/objects.ts';
import { writeKubeconfig } from '../support/apiserver-certificates.ts';
import { type FaultyProxy, startFaultyProxy } from '../support/faulty-proxy.ts';
import { startNodeStandIn } from '../support/node-stand-in.ts';
import { type OperatorProcess, startOperatorProcess } from '../support/operator-process.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, startWorld } from './api-world.ts';
import { type KeptKeys, watchKeptKeys } from './chaos/kept-keys.ts';
import { leaseFlags, writeTokens } from './chaos/operator-slots.ts';
import { installOwnCrds } from './install-crds.ts';

type Policy = DomainPolicy & KubeObject;
type Fields = Readonly<Record<string, unknown>>;

export interface HeldOperator extends AsyncDisposable {
  readonly operator: Operator;
}

export interface FaultWorld extends AsyncDisposable {
  readonly api: ApiWorld;
  readonly folder: string;
  readonly kept: KeptKeys;
  proxy(): Promise<FaultyProxy>;
  /** `main.ts` itself. */
  process(proxy: FaultyProxy): Promise<OperatorProcess>;
  /** In this process, by a clock of the test's or a connection of its own. */
  within(parts: {
    readonly connection: Connection;
    readonly clock?: Clock;
    readonly uptime?: Uptime;
    readonly lease?: string;
  }): Promise<HeldOperator>;
  connectionBy(proxy: FaultyProxy): Connection;
  relay(name: string): Promise<void>;
  policy(name: string, relay: string): Promise<void>;
  /** A change of a policy, and until the pods run what comes of it: in milliseconds. */
  carriedOut(name: string, change: Fields, limitMs?: number): Promise<number>;
  /** Until the pods run what the policy says. */
  untilProgrammed(name: string, limitMs?: number): Promise<Policy>;
}

export const operatorUser = 'operator-x';

export async function startFaultWorld(): Promise<FaultWorld> {
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await temporaryFolder()).path;
  await writeTokens(join(folder, 'tokens.csv'), [operatorUser]);
  const api = parts.use(await startWorld({ flags: [`--token-auth-file=${join(folder, 'tokens.csv')}`] }));
  await installOwnCrds(api);
  await api.server.startControllerManager();
  parts.use(await startNodeStandIn({ server: api.server, mode: 'reports' }));
  const kept = parts.use(await watchKeptKeys(api));
  const owned = parts.move();

  async function untilProgrammed(name: string, limitMs = 60_000): Promise<Policy> {
    let last = '';
    return await waitUntil(
      `${name} to be programmed`,
      async () => {
        const policy = await api.get<Policy>(domainPolicies, { namespace: 'mail', name });
        const { conditions = [], observedGeneration } = policy.status ?? {};
        last = `${observedGeneration} ${conditions.map(({ type, reason }) => `${type} ${reason}`)}`;
        const isApplied = conditions.some(({ type, status }) => type === 'Programmed' && status === 'True');
        return isApplied && observedGeneration === policy.metadata.generation ? policy : undefined;
      },
      { limitMs, everyMs: 50 },
    ).catch((error: unknown) => {
      throw new Error(`${name}: ${last}`, { cause: error });
    });
  }

  return {
    ...{ api, folder, kept, untilProgrammed },
    proxy: () => startFaultyProxy(api.server),
    async process(proxy) {
      const kubeconfigFile = join(folder, `${randomUUID()}.kubeconfig`);
      await writeKubeconfig(kubeconfigFile, proxy.url, api.server.caFile, { token: `token-of-${operatorUser}` });
      const operator = await startOperatorProcess({ kubeconfigFile, flags: leaseFlags });
      await operator.whenReady();
      return operator;
    },
    async within({ connection, clock = systemClock, uptime = createUptime(), lease }) {
      const flags = ['--image=i', '--namespace=mail', '--http=127.0.0.1:0', '--nameservers=127.83.0.53:53'];
      const election = lease === undefined ? ['--leader-election=Disabled'] : [`--lease-name=${lease}`, ...leaseFlags];
      const operator = await startOperator(parseOptions([...flags, ...election], undefined), {
        ...{ connection, clock, uptime, factories: controllers, random: Math.random },
        log: createLog(process.env['POSTROAD_TEST_LOG'] ?? 'silent'),
        ...{ identity: randomUUID(), version: 'test' },
      });
      return {
        operator,
        async [Symbol.asyncDispose]() {
          operator.stop();
          await operator.done;
        },
      };
    },
    connectionBy: ({ url }) => ({
      ...{ server: url, namespace: undefined },
      // A certificate would end at the proxy.
      async credentials() {
        const { ca } = (await api.server.admin.credentials()).tls;
        const headers = { authorization: `Bearer token-of-${operatorUser}` };
        return { headers, tls: ca === undefined ? {} : { ca } };
      },
    }),
    async relay(name) {
      const spec = { replicas: 1, policies: { namespaces: { from: 'All' } } };
      await api.create(mailRelays, objects.mailRelay(spec, { name }) as MailRelay & KubeObject);
    },
    async policy(name, relay) {
      const managed = { algorithms: ['RSA2048', 'Ed25519'] };
      const dkim = { type: 'Managed', managed };
      const spec = { relayRef: { name: relay }, domains: [`${name}.example.com`], dkim, dns: { checks: 'Disabled' } };
      await api.create(domainPolicies, objects.domainPolicy(spec, { name, namespace: 'mail' }) as Policy);
    },
    async carriedOut(name, change, limitMs) {
      const startMs = performance.now();
      await api.edit(domainPolicies, { namespace: 'mail', name }, { spec: change });
      await untilProgrammed(name, limitMs);
      return performance.now() - startMs;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
