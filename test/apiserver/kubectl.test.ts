/** What somebody sees and does with kubectl, with the real one. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { secrets } from '../../operator/cluster/kinds.ts';
import { controllers } from '../../operator/controllers.ts';
import type { KubeObject, ObjectName } from '../../operator/kube/object.ts';
import { revisionAnnotation } from '../../operator/labels.ts';
import { type GoldenName, goldenProvider, goldenRelays } from '../operator/mailrelay/desired/golden-relays.ts';
import { makeCertificate } from '../support/certificate.ts';
import { type Kubectl, kubectlOf } from '../support/kubectl.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { createTestCa } from '../support/test-ca.ts';
import { waitUntil } from '../support/wait-until.ts';
import { type RelayWorld, startRelayWorld } from './mailrelay-world.ts';

/** What the writer notes of each object (operator/kube/apply.ts). */
const appliedHash = 'postroad.dev/applied-hash';
const cleanup = new AsyncDisposableStack();
let kubectl: Kubectl;
let world: RelayWorld;
let installed = '';

before(async () => {
  const folder = cleanup.use(await temporaryFolder());
  world = cleanup.use(
    await startRelayWorld({
      factories: controllers,
      async installOwn({ server }) {
        // What it learns of the server now is out of date as soon as the definitions are there.
        const first = await kubectlOf(server, join(folder.path, 'first'));
        installed = await first.must(['apply', '-f', 'crds/']);
        await first.must(['wait', '--for=condition=Established', '--timeout=20s', '-f', 'crds/']);
        kubectl = await kubectlOf(server, join(folder.path, 'cache'));
      },
    }),
  );
  const users = { demo: 'secret' };
  const provider = { username: 'user', password: 'secret' };
  const ca = await createTestCa(join(folder.path, 'ca'));
  const authority = { 'ca.crt': await readFile(ca.certificateFile, 'utf8') };
  for (const [namespace, name, data] of [
    ['mail', 'smtp-users', users],
    ['mail', 'provider', provider],
    ['mail', 'provider-ca', authority],
    ['bank', 'provider', provider],
    ['bank', 'provider-ca', authority],
  ] as const)
    await putSecret({ name, namespace }, data);
});
after(async () => {
  await cleanup.disposeAsync();
});

async function putSecret(metadata: KubeObject['metadata'], stringData: Record<string, string>): Promise<void> {
  await world.api.create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata, stringData } as KubeObject);
}

test('kubectl apply -f crds/ alone installs the definitions, and again changes nothing', async () => {
  const names = ['domainpolicies', 'mailrelays'].map(
    name => `customresourcedefinition.apiextensions.k8s.io/${name}.postroad.dev`,
  );
  assert.deepEqual(
    installed.split('\n').toSorted(),
    names.map(name => `${name} created`),
  );
  assert.deepEqual(
    (await kubectl.must(['apply', '-f', 'crds/'])).split('\n').toSorted(),
    names.map(name => `${name} unchanged`),
  );
});

test('kubectl explain tells what each field means', async () => {
  const relay = await kubectl.must(['explain', 'mrelay']);
  assert.match(relay, /A MailRelay gives workloads an SMTP service/);
  assert.match(relay, /SHORTNAMES?: +mrelay|KIND: +MailRelay/);
  const tls = await kubectl.must(['explain', 'mailrelay.spec.listeners.tls']);
  assert.match(tls, /ENUM:\s+Disabled\s+Optional\s+Required/);
  assert.match(await kubectl.must(['explain', 'dpol.status.dnsRecords']), /state\s+<string>/);
});

/** Golden manifests of relays that the pods can run, in the order of their making. */
const live: readonly GoldenName[] = ['quickstart', 'volume-3-replicas', 'cert-manager', 'everything-on'];

/** Each under its own name, so that all are there at once. */
const nameOf = (name: GoldenName): ObjectName & { namespace: string } => ({ namespace: 'mail', name });

test('every relay of the golden manifests gets ready', async () => {
  for (const name of live) await world.createRelay(goldenRelays[name], { name });
  const unchecked = { dns: { checks: 'Disabled' } };
  const example = { domains: ['example.com'], relayRef: { name: 'quickstart' } };
  await world.createPolicy({ ...example, ...unchecked }, { name: 'example', namespace: 'mail' });
  const relayRef = { namespace: 'mail', name: 'everything-on' };
  const bank = { domains: ['bank.example.com', '*.bank.example.com'], route: goldenProvider };
  await world.createPolicy({ relayRef, ...unchecked });
  await world.createPolicy({ relayRef, ...bank, ...unchecked }, { name: 'bank', namespace: 'bank' });
  await kubectl.must(['create', 'priorityclass', 'mail', '--value=1000']);
  await issueFor(nameOf('cert-manager'));
  await kubectl.must(['wait', '--for=condition=Ready', '--timeout=25s', '-n', 'mail', 'mrelay', '--all']);
});

for (const name of live) {
  test(`kubectl diff finds nothing in golden/mailrelay/${name}.yaml`, async t => {
    const relay = await world.relay(nameOf(name));
    const golden = await goldenOf(name, relay.metadata.uid ?? '');
    const { code, stdout, stderr } = await diff(golden);
    assert.equal(`${stdout}${stderr}`, '');
    assert.equal(code, 0);
    t.diagnostic(`${golden.length} objects of ${name} without a difference`);
    if (name === 'quickstart') await assertFindsChanges(golden);
  });
}

/** Shows that the comparison would have found something. */
async function assertFindsChanges(golden: readonly KubeObject[]): Promise<void> {
  const changed = golden.map(object =>
    object.kind === 'PodDisruptionBudget' ? { ...object, spec: { maxUnavailable: 3 } } : object,
  );
  const { code, stdout } = await diff(changed);
  assert.equal(code, 1);
  assert.match(stdout, /^\+ {2}maxUnavailable: 3$/m);
  assert.match(stdout, /^- {2}selector:$/m, 'what the manifest lacks');
}

/** Plays cert-manager. */
async function issueFor(relay: ObjectName): Promise<void> {
  interface Certificate {
    readonly spec: {
      readonly secretName: string;
      readonly secretTemplate: { readonly labels: Record<string, string> };
      readonly dnsNames: readonly string[];
    };
  }
  const { spec } = await waitUntil('a Certificate is asked for', async () => {
    const args = ['get', 'certificate', '-n', 'mail', `${relay.name}-relay`, '-o', 'json'];
    const { code, stdout } = await kubectl.run(args);
    return code === 0 ? (JSON.parse(stdout) as Certificate) : undefined;
  });
  await world.untilReason(relay, 'CertificateReady', 'CertificatePending');
  const { certificate, privateKey } = await makeCertificate(spec.dnsNames[0] ?? '');
  const metadata = { name: spec.secretName, namespace: 'mail', labels: spec.secretTemplate.labels };
  await putSecret(metadata, { 'tls.crt': certificate.toString(), 'tls.key': privateKey.toString() });
}

/** As they are in the file, but for what chance decides: uid, keys, and what is made from them. */
async function goldenOf(name: GoldenName, uid: string): Promise<KubeObject[]> {
  const file = new URL(`../golden/mailrelay/${name}.yaml`, import.meta.url);
  const text = (await readFile(file, 'utf8'))
    .replaceAll('00000000-0000-4000-8000-000000000001', uid)
    .replaceAll(/\boutbound\b/g, name);
  const wanted = parseAllDocuments(text).map(document => document.toJS() as WithData);
  const found = await kubectl.must(['get', '-f', '-', '-o', 'json'], listOf(wanted));
  const { items } = JSON.parse(found) as { readonly items: readonly WithData[] };
  return wanted.map((object, index) => withChance(object, items[index]));
}

type WithData = KubeObject & { readonly data?: Readonly<Record<string, string>> };

function withChance(object: WithData, found: WithData | undefined): KubeObject {
  const { kind, metadata, data } = object;
  assert.equal(`${found?.kind} ${found?.metadata.name}`, `${kind} ${metadata.name}`);
  assert.deepEqual(shapeOf(found), shapeOf(object), `${kind} ${metadata.name}`);
  const digests = [appliedHash, revisionAnnotation].flatMap(key => {
    const value = found?.metadata.annotations?.[key];
    const isWanted = key === appliedHash || metadata.annotations?.[key] !== undefined;
    return value !== undefined && isWanted ? [[key, value] as const] : [];
  });
  const annotations = { ...metadata.annotations, ...Object.fromEntries(digests) };
  return {
    ...object,
    ...(data !== undefined && { data: found?.data }),
    metadata: { ...metadata, annotations },
  } as KubeObject;
}

/** Names of the entries, without the digests in them. The keys of policies are left out: here they still wait. */
function shapeOf(object: WithData | undefined): string[] {
  return Object.keys(object?.data ?? {})
    .filter(key => !key.startsWith('dkim-'))
    .map(key => key.replace(/[0-9a-f]{16}/, ''))
    .sort();
}

/** As the operator would apply it: what it owns beyond the manifest is a difference, too. */
async function diff(items: readonly KubeObject[]): ReturnType<Kubectl['run']> {
  const args = ['diff', '--server-side', '--field-manager=postroad-operator', '-f', '-'];
  return await kubectl.run(args, listOf(items));
}

function listOf(items: readonly KubeObject[]): string {
  return JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
}

test('kubectl get answers the first question, of relays and of policies that claim the same domain', async () => {
  await world.createRelay({ replicas: 2, policies: { namespaces: { from: 'All' } } });
  await world.createPolicy({ dkim: { type: 'Disabled' }, dns: { checks: 'Disabled' } }, { name: 'news' });
  await kubectl.must(['wait', '--for=condition=Ready', '--timeout=20s', '-n', 'shop', 'dpol/news']);
  // Of two of the same second the first by name wins.
  const rival = { dkim: { type: 'Disabled' }, domains: ['a.example.com', 'shop.example.com'] };
  await world.createPolicy(rival, { name: 'rival' });
  await kubectl.must(['wait', '--for=condition=Accepted=false', '--timeout=20s', '-n', 'shop', 'dpol/rival']);
  await kubectl.must(['wait', '--for=condition=Ready', '--timeout=20s', '-n', 'mail', 'mrelay/outbound']);
  const table = await kubectl.must(['get', 'mrelay,dpol', '-A']);
  assert.deepEqual(rows(table, /^NAMESPACE|outbound |news|rival/), [
    'NAMESPACE NAME READY ADDRESS REPLICAS POLICIES AGE',
    'mail mailrelay.postroad.dev/outbound True outbound.mail.svc 2 1 AGE',
    'NAMESPACE NAME RELAY ACCEPTED DKIM DNS READY AGE',
    'shop domainpolicy.postroad.dev/news outbound True True Unknown True AGE',
    'shop domainpolicy.postroad.dev/rival outbound False True Unknown False AGE',
  ]);
  const wide = await kubectl.must(['get', 'mrelay,dpol', '-A', '-o', 'wide']);
  assert.deepEqual(rows(wide, /^NAMESPACE|cert-manager |rival/), [
    'NAMESPACE NAME READY ADDRESS REPLICAS POLICIES AGE QUEUE ROUTE CERTIFICATE REASON',
    'mail mailrelay.postroad.dev/cert-manager True cert-manager.mail.svc 2 0 AGE Volume Direct DATE Ready',
    'NAMESPACE NAME RELAY ACCEPTED DKIM DNS READY AGE DOMAINS REASON',
    'shop domainpolicy.postroad.dev/rival outbound False True Unknown False AGE ["a.example.com","shop.example.com"] Conflicted',
  ]);
  const described = await kubectl.must(['describe', '-n', 'shop', 'dpol', 'rival']);
  assert.match(
    described,
    /Message: +shop\.example\.com belongs to shop\/news: the older policy wins, then the first by namespace and name/,
  );
});

/** Lines of a table as its cells with one blank between; what time decides is replaced by its name. */
function rows(table: string, chosen: RegExp): string[] {
  return table
    .split('\n')
    .filter(line => chosen.test(line))
    .map(line => line.trim().replaceAll(/ +/g, ' '))
    .map(line => line.replace(/ \d+(m\d+)?s(?= |$)/, ' AGE').replace(/\d{4}-\d\d-\d\dT\S+/, 'DATE'));
}

test('kubectl scale sets the pods of a relay, and its scale tells how they are found', async () => {
  await kubectl.must(['scale', '-n', 'mail', 'mrelay/outbound', '--current-replicas=2', '--replicas=3']);
  await kubectl.must([
    'wait',
    '--for=jsonpath={.status.readyReplicas}=3',
    '--timeout=20s',
    '-n',
    'mail',
    'mrelay/outbound',
  ]);
  const scale = JSON.parse(
    await kubectl.must(['get', '--raw', '/apis/postroad.dev/v1alpha1/namespaces/mail/mailrelays/outbound/scale']),
  );
  assert.deepEqual(scale.status, {
    replicas: 3,
    selector: 'app.kubernetes.io/name=postroad,app.kubernetes.io/component=relay,app.kubernetes.io/instance=outbound',
  });
});

test('kubectl describe tells what is missing, and the Event about it', async () => {
  const clients = { usersSecretRef: { name: 'nobody' } };
  await world.createRelay({ clients }, { name: 'lacking' });
  await kubectl.must(['wait', '--for=condition=ResolvedRefs=false', '--timeout=20s', '-n', 'mail', 'mrelay/lacking']);
  const text = await waitUntil('the Event to be there', async () => {
    const described = await kubectl.must(['describe', '-n', 'mail', 'mrelay', 'lacking']);
    return described.includes('Warning') ? described : undefined;
  });
  const message = 'spec\\.clients\\.usersSecretRef: Secret mail/nobody';
  assert.match(text, new RegExp(`Message: +${message}.*\\n.*\\n +Reason: +SecretNotFound`));
  assert.match(text, new RegExp(`Warning +SecretNotFound +.* postroad.dev/operator +${message}`));
});
