/** What makes a relay's alerts fire: next hops, certificates, keys and configurations that are not as they should be. */
import { createPrivateKey } from 'node:crypto';
import { makeCertificate } from '../../support/certificate.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cause } from './alert-watch.ts';
import { apply, namespace, patch, pause, send, type World } from './world.ts';

const relay = 'faulty';
const deadAddress = '198.51.100.66';
const from = 'a@faulty.test';

/** Of the relay `faulty`, in their order. */
export function deliveryCauses(world: World): readonly Cause[] {
  return [deadHop(world), refusing(world)];
}

/** Nobody listens where its mail should go; then somebody does. */
function deadHop({ internet }: World): Cause {
  let count = 0;
  const next = (): string => `b@d${count++}.dead.test`;
  return {
    name: 'the next hop is dead',
    fires: [`PostroadNothingDelivered of ${relay}`, `PostroadConnectionsFailing of ${relay}`],
    begin: async () => undefined,
    goOn: async () => void (await send(relay, from, [next()])),
    async mend() {
      await internet.mailHost(deadAddress);
      await send(relay, from, Array.from({ length: 20 }, next));
    },
  };
}

/** A host that knows none of the recipients, until the sender has mended its list. */
function refusing(_world: World): Cause {
  let count = 0;
  return {
    name: 'recipients that nobody knows',
    fires: [`PostroadDeliveriesFailing of ${relay}`],
    begin: async () => undefined,
    goOn: async () => void (await send(relay, from, [`b${count++}@refusing.test`])),
    async mend() {
      await send(
        relay,
        from,
        Array.from({ length: 5 * count }, (_, index) => `b${index}@well.test`),
      );
    },
  };
}

/** Given by its owner, and not renewed in time. */
export function oldCertificate(world: World): Cause {
  const name = 'old-certificate';
  return {
    name: 'a certificate of a Secret that ends tomorrow',
    fires: [`PostroadCertificateExpiring of ${relay}`],
    async begin() {
      const { certificate, privateKey } = await makeCertificate(`${relay}.example.com`);
      const data = { 'tls.crt': certificate.toString('base64'), 'tls.key': privateKey.toString('base64') };
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace },
        type: 'kubernetes.io/tls',
        data,
      };
      await apply(world.cluster, [secret]);
      await patch(world, ['mailrelay', relay], { spec: { tls: { type: 'SecretRef', secretRef: { name } } } });
    },
    async mend() {
      await patch(world, ['mailrelay', relay], { spec: { tls: { type: 'SelfSigned', secretRef: null } } });
    },
  };
}

const fragilePods = ['fragile-relay-0', 'fragile-relay-1'] as const;

/** Kubelet looks at the files of a pod that has changed at once, at the others' once in a minute. */
async function nudge(world: World, pod: string): Promise<void> {
  await patch(world, ['pod', pod], { metadata: { annotations: { nudged: `${Date.now()}` } } });
}

/** Pods of one relay with different configurations: kubelet brings a change to one, and to the other only the mistake after it. */
export function handMadeConfiguration(world: World): Cause {
  const pods = fragilePods;
  const { cluster, hurried } = world;
  const configMap = ['configmap', 'fragile-relay-config'];
  async function write(config: string, nudged: readonly string[]): Promise<void> {
    await patch(world, configMap, { data: { 'relay.json': config } });
    for (const pod of nudged) await nudge(world, pod);
  }
  let text = '';
  return {
    name: 'a configuration changed by hand, then broken',
    fires: ['PostroadRevisionsDiffer of fragile', 'PostroadConfigurationRejected of fragile'],
    async begin() {
      await pause(world, 'fragile', true);
      const { data } = await cluster.get<{ data: Record<string, string> }>(...configMap, '-n', namespace);
      text = data['relay.json'] ?? '';
      await write(JSON.stringify({ ...JSON.parse(text), revision: 'by-hand' }), pods.slice(0, 1));
      await waitUntil(
        'one pod to run the configuration made by hand',
        async () => (await hurried.query('postroad_config_revision_info{revision="by-hand"} == 1')).length > 0,
        { limitMs: 90_000, everyMs: 300 },
      );
      await write('{', pods);
    },
    async mend() {
      await write(text, pods);
      await pause(world, 'fragile', false);
    },
  };
}

/** Of a policy with two keys, each in the other's place. */
export function swappedKeys(world: World): Cause {
  const secret = ['secret', 'fragile-relay-files-0'];
  let kept: Readonly<Record<string, string>> = {};
  async function write(data: Readonly<Record<string, string>>): Promise<void> {
    await patch(world, secret, { data });
    for (const pod of fragilePods) await nudge(world, pod);
  }
  return {
    name: 'the keys of a policy in the place of one another',
    fires: ['PostroadSigningFails of fragile'],
    async begin() {
      await pause(world, 'fragile', true);
      const { data } = await world.cluster.get<{ data: Record<string, string> }>(...secret, '-n', namespace);
      const isKey = (type: string) => (content: string) =>
        keyTypeOf(Buffer.from(content, 'base64').toString()) === type;
      const rsa = Object.entries(data).find(([name, content]) => name.includes('dkim') && isKey('rsa')(content));
      const ed25519 = Object.entries(data).find(
        ([name, content]) => name.includes('dkim') && isKey('ed25519')(content),
      );
      if (rsa === undefined || ed25519 === undefined) throw new Error('there are not two keys');
      kept = Object.fromEntries([rsa, ed25519]);
      await write({ [rsa[0]]: ed25519[1], [ed25519[0]]: rsa[1] });
    },
    async goOn() {
      // A kubelet that has not heard of the change yet looks in vain.
      for (const pod of fragilePods) await nudge(world, pod);
      await send('fragile', 'a@fragile.test', ['b@well.test']);
    },
    async mend() {
      await write(kept);
      await pause(world, 'fragile', false);
    },
  };
}

function keyTypeOf(pem: string): string | undefined {
  return pem.includes('PRIVATE KEY') ? createPrivateKey(pem).asymmetricKeyType : undefined;
}
