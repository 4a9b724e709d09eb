/** A cluster with the operator's relays at work: real API server and controller manager, pods of the stand-in, policies as given. */
import { randomUUID } from 'node:crypto';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay, MailRelayStatus } from '../../crds/mail-relay.ts';
import { domainPolicies, mailRelays } from '../../operator/cluster/kinds.ts';
import { type KubeObject, keyOf, type ObjectName, type Resource } from '../../operator/kube/object.ts';
import { createWorkQueue } from '../../operator/kube/workqueue.ts';
import { createMailRelayController } from '../../operator/mailrelay/controller.ts';
import { type Operator, startOperator } from '../../operator/operator.ts';
import { parseOptions } from '../../operator/options.ts';
import type { ControllerFactories } from '../../operator/term.ts';
import { systemClock } from '../../relay/clock.ts';
import { createLog } from '../../relay/log.ts';
import * as objects from '../crds/objects.ts';
import { policyStatesOf } from '../operator/mailrelay/policy-states.ts';
import { options as desired } from '../operator/mailrelay/relay-input.ts';
import { type AuditedRequest, isWrite } from '../support/apiserver-audit.ts';
import { type NodeStandIn, startNodeStandIn } from '../support/node-stand-in.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type ApiWorld, namespaces, startWorld } from './api-world.ts';
import { installForeignCrds, installOwnCrds } from './install-crds.ts';

type Fields = Readonly<Record<string, unknown>>;
export type StoredRelay = MailRelay & KubeObject;

export interface RelayWorld extends AsyncDisposable {
  readonly api: ApiWorld;
  readonly node: NodeStandIn;
  createRelay(spec?: Fields, metadata?: Fields): Promise<StoredRelay>;
  createPolicy(spec?: Fields, metadata?: Fields): Promise<DomainPolicy>;
  relay(name: ObjectName): Promise<StoredRelay>;
  /** Until a condition of the relay gives this reason. */
  untilReason(name: ObjectName, type: string, reason: string): Promise<StoredRelay>;
  /** Until nothing has been asked of the API server by the operator for a second. */
  untilStill(): Promise<void>;
  operatorRequests(): Promise<readonly AuditedRequest[]>;
  operatorWrites(): Promise<readonly AuditedRequest[]>;
  stopOperator(): Promise<void>;
  startOperator(): Promise<void>;
}

const userAgent = 'postroad-operator/test';

const playedPolicies: ControllerFactories = {
  relays: deps => createMailRelayController(deps, { policyStatesOf }),
  policies: ({ clock, random, log, metrics }) => ({
    queue: createWorkQueue({ name: 'domainpolicy', clock, random, log, metrics }),
    reconcile: async () => undefined,
    onChange: () => undefined,
  }),
};

export interface RelayWorldParts {
  /** Policies of the stand-in, where left out: admitted, and nothing else. */
  readonly factories?: ControllerFactories;
  readonly installOwn?: (api: ApiWorld) => Promise<void>;
}

export async function startRelayWorld({
  factories = playedPolicies,
  installOwn = installOwnCrds,
}: RelayWorldParts = {}): Promise<RelayWorld> {
  await using parts = new AsyncDisposableStack();
  const api = parts.use(await startWorld());
  await installOwn(api);
  await installForeignCrds(api);
  await api.server.startControllerManager();
  for (const name of ['shop', 'bank', 'postroad-system'])
    await api.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  const node = parts.use(await startNodeStandIn({ server: api.server, mode: 'reports' }));
  let operator: Operator | undefined = await begin(api, factories);
  parts.defer(async () => {
    await stop();
  });

  async function stop(): Promise<void> {
    operator?.stop();
    await operator?.done;
    operator = undefined;
  }

  async function operatorRequests(): Promise<readonly AuditedRequest[]> {
    return (await api.server.auditLog()).filter(request => request.userAgent === userAgent);
  }

  const kept = parts.move();
  return {
    api,
    node,
    createRelay: (spec, metadata) => api.create(mailRelays, objects.mailRelay(spec, metadata) as StoredRelay),
    createPolicy: (spec, metadata) =>
      api.create(domainPolicies, objects.domainPolicy(spec, metadata) as DomainPolicy & KubeObject),
    relay: name => api.get<StoredRelay>(mailRelays, name),
    untilReason: (name, type, reason) =>
      waitUntil(
        `${keyOf(name)} says ${type} ${reason}`,
        async () => {
          const relay = await api.get<StoredRelay>(mailRelays, name);
          return reasonOf(relay.status, type) === reason ? relay : undefined;
        },
        { limitMs: 20_000, everyMs: 50 },
      ),
    async untilStill() {
      let before = -1;
      await waitUntil(
        'the operator asks nothing',
        async () => {
          const { length } = (await operatorRequests()).filter(({ verb }) => verb !== 'watch');
          const isStill = length === before;
          before = length;
          return isStill;
        },
        { limitMs: 30_000, everyMs: 1000 },
      );
    },
    operatorRequests,
    operatorWrites: async () => (await operatorRequests()).filter(isWrite),
    stopOperator: stop,
    async startOperator() {
      operator = await begin(api, factories);
    },
    [Symbol.asyncDispose]: () => kept[Symbol.asyncDispose](),
  };
}

async function begin(api: ApiWorld, factories: ControllerFactories): Promise<Operator> {
  const args = ['--image=i', '--namespace=postroad-system', '--leader-election=Disabled', '--http=127.0.0.1:0'];
  const operator = await startOperator(
    { ...parseOptions(args, undefined), desired },
    {
      connection: api.server.admin,
      factories,
      clock: systemClock,
      random: Math.random,
      log: createLog(process.env['POSTROAD_TEST_LOG'] ?? 'silent'),
      identity: randomUUID(),
      version: 'test',
    },
  );
  return operator;
}

export function reasonOf(status: MailRelayStatus | undefined, type: string): string | undefined {
  return status?.conditions?.find(one => one.type === type)?.reason;
}

export function place(apiVersion: string, kind: string, plural: string): Resource {
  return { apiVersion, kind, plural, isNamespaced: true };
}
