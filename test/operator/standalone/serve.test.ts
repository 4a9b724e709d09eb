/** In one file because its tests run beside each other: each mostly waits for processes of its own. */
import assert from 'node:assert/strict';
import { readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import type { Condition } from '../../../crds/common.ts';
import { RefusedError } from '../../../operator/standalone/controller.ts';
import { type Service, serve } from '../../../operator/standalone/serve.ts';
import { systemClock } from '../../../relay/clock.ts';
import { parseConfig, type RelayConfig } from '../../../relay/config.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { copyQuickstart, policyYaml, relayYaml, writeManifests } from './folders.ts';

const program = join(import.meta.dirname, 'scripted-relay.ts');

interface Place extends AsyncDisposable {
  readonly manifests: string;
  readonly dataDir: string;
}

async function newPlace(): Promise<Place> {
  const [manifests, data] = await Promise.all([temporaryFolder(), temporaryFolder()]);
  return {
    manifests: manifests.path,
    dataDir: join(data.path, 'data'),
    async [Symbol.asyncDispose]() {
      await Promise.all([manifests[Symbol.asyncDispose](), data[Symbol.asyncDispose]()]);
    },
  };
}

interface Running extends Service, AsyncDisposable {
  readonly said: string[];
  readonly log: () => string;
}

async function start({ manifests, dataDir }: Place): Promise<Running> {
  const output = new PassThrough();
  const said: string[] = [];
  let log = '';
  output.on('data', chunk => {
    log += chunk;
  });
  const service = await serve({
    manifests,
    dataDir,
    bindAddress: '127.0.0.1',
    http: { address: '127.0.0.1', port: 8080 },
    program,
    clock: systemClock,
    output,
    say: lines => said.push(...lines),
  });
  return {
    ...service,
    said,
    log: () => log,
    async [Symbol.asyncDispose]() {
      service.stop();
      await service.done;
    },
  };
}

async function configOf({ dataDir }: Place): Promise<RelayConfig> {
  return parseConfig(JSON.parse(await readFile(join(dataDir, 'config', 'relay.json'), 'utf8')));
}

async function conditionsOf({ dataDir }: Place, object: string): Promise<ReadonlyMap<string, Condition>> {
  const { status } = JSON.parse(await readFile(join(dataDir, 'status', `${object}.json`), 'utf8'));
  return new Map(status.conditions.map((one: Condition) => [one.type, one]));
}

async function isReady(place: Place, object: string): Promise<boolean> {
  return (await conditionsOf(place, object)).get('Ready')?.status === 'True';
}

const said = (service: Running, text: string): Promise<string> =>
  waitUntil(`"${text}" is said`, () => service.said.find(line => line.includes(text)));

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter(entry => entry.isFile()).map(entry => join(entry.parentPath, entry.name));
}

// Mostly waits, which need not wait for each other.
describe('standalone', { concurrency: 8 }, () => {
  it('serves the quickstart: configuration, secrets, status and DNS records', async () => {
    await using place = await newPlace();
    await copyQuickstart(place.manifests);
    await using service = await start(place);
    await said(service, 'http://127.0.0.1:8080');
    const config = await configOf(place);
    assert.deepEqual(
      config.listeners.map(({ bindAddress, bindPort }) => `${bindAddress}:${bindPort}`),
      ['127.0.0.1:2525', '127.0.0.1:2587', '127.0.0.1:2465'],
    );
    assert.deepEqual(config.clients.trustedNetworks, ['127.0.0.0/8', '::1/128']);
    assert.equal(await readFile(join(config.clients.usersDir ?? '', 'demo'), 'utf8'), 'postroad-demo');
    assert.deepEqual(
      config.policies[0]?.dkim.map(({ algorithm }) => algorithm),
      ['RSA2048', 'Ed25519'],
    );
    assert.ok(await isReady(place, 'mailrelay.mail.outbound'));
    assert.ok(await isReady(place, 'domainpolicy.mail.example'));
    for (const { selector } of config.policies[0]?.dkim ?? [])
      await said(service, `${selector}._domainkey.example.com. 3600 IN TXT "v=DKIM1;`);
    await said(service, join(place.dataDir, 'ca.crt'));
    assert.match(service.log(), /not a line of the log/);
  });

  it('keeps everything secret from others', async () => {
    await using place = await newPlace();
    await copyQuickstart(place.manifests);
    await using service = await start(place);
    await said(service, 'http://');
    for (const folder of ['config', 'keys'])
      for (const path of await filesBelow(join(place.dataDir, folder)))
        assert.equal((await stat(path)).mode & 0o777, 0o600, path);
    for (const folder of ['', 'config', 'keys', join('keys', 'dkim'), 'status'])
      assert.equal((await stat(join(place.dataDir, folder))).mode & 0o777, 0o700, folder);
    const told = `${service.said.join('\n')}${service.log()}`;
    assert.doesNotMatch(told, /postroad-demo|PRIVATE KEY/);
  });

  it('keeps keys, certificate and revision over a restart, though a crash left a half-written file behind', async () => {
    await using place = await newPlace();
    await copyQuickstart(place.manifests);
    const keep = async (): Promise<Map<string, string>> => {
      await using service = await start(place);
      await said(service, 'http://');
      const files = [
        ...(await filesBelow(join(place.dataDir, 'keys'))),
        ...(await filesBelow(join(place.dataDir, 'config'))),
      ];
      return new Map(await Promise.all(files.map(async path => [path, await readFile(path, 'utf8')] as const)));
    };
    const first = await keep();
    assert.ok(first.size >= 10);
    const leftover = join(place.dataDir, 'keys', '.revision.key.new');
    await writeFile(leftover, 'half', { mode: 0o644 });
    const second = await keep();
    second.delete(leftover);
    assert.deepEqual(second, first);
  });

  it('does not replace a key that it cannot read', async () => {
    await using place = await newPlace();
    await copyQuickstart(place.manifests);
    await (await start(place))[Symbol.asyncDispose]();
    const key = join(place.dataDir, 'keys', 'dkim', 'mail', 'example', 'RSA2048.pem');
    await writeFile(key, 'damaged');
    await assert.rejects(start(place), /RSA2048\.pem does not hold what was kept in it/);
    assert.equal(await readFile(key, 'utf8'), 'damaged');
  });

  it('takes up a change, and says when the relay runs it', async () => {
    await using place = await newPlace();
    await writeManifests(place.manifests, { 'relay.yaml': relayYaml() });
    await using service = await start(place);
    await said(service, 'http://');
    const before = (await configOf(place)).revision;
    await writeManifests(place.manifests, { 'policy.yaml': policyYaml('one', '  domains: [one.example.com]') });
    await said(service, 'The manifests changed; the relay takes this up');
    await waitUntil('the policy is in force', async () => isReady(place, 'domainpolicy.mail.one'));
    assert.notEqual((await configOf(place)).revision, before);
    await rm(join(place.manifests, 'policy.yaml'));
    await waitUntil(
      'its status is gone',
      async () => !(await readdir(join(place.dataDir, 'status'))).includes('domainpolicy.mail.one.json'),
    );
    assert.deepEqual((await configOf(place)).policies, []);
  });

  it('takes up a new password as a new revision, whose name says nothing of it', async () => {
    await using place = await newPlace();
    const users = (password: string): string =>
      `apiVersion: v1\nkind: Secret\nmetadata: { name: u, namespace: mail }\nstringData: { demo: "${password}" }`;
    await writeManifests(place.manifests, {
      'relay.yaml': relayYaml('  clients: { usersSecretRef: { name: u } }'),
      'users.yaml': users('one'),
    });
    await using service = await start(place);
    await said(service, 'http://');
    const before = await configOf(place);
    await writeManifests(place.manifests, { 'users.yaml': users('two') });
    const after = await waitUntil('another revision', async () => {
      const config = await configOf(place);
      return config.revision !== before.revision && config;
    });
    assert.equal(await readFile(join(after.clients.usersDir ?? '', 'demo'), 'utf8'), 'two');
    assert.equal(
      await readFile(join(before.clients.usersDir ?? '', 'demo'), 'utf8'),
      'one',
      'the relay may still be reading it',
    );
  });

  const wrongChanges: readonly [string, Readonly<Record<string, string>>, RegExp][] = [
    ['a mistyped field', { 'relay.yaml': relayYaml('  replica: 2') }, /spec\.replica .*did you mean replicas/],
    ['broken YAML', { 'relay.yaml': 'kind: [' }, /relay\.yaml: /],
    [
      'another type of queue',
      {
        'relay.yaml': relayYaml(
          '  queue: { type: Redis, redis: { type: Single, addresses: ["r:1"], durability: Fsync } }',
        ),
      },
      /type must stay as it is/,
    ],
    [
      'a second MailRelay',
      { 'second.yaml': relayYaml().replace('outbound', 'second') },
      /exactly one MailRelay without a cluster; found mail\/outbound, mail\/second/,
    ],
    [
      'a Secret that is not there',
      { 'relay.yaml': relayYaml('  clients: { usersSecretRef: { name: none } }') },
      /Secret mail\/none is not there/,
    ],
    [
      'a policy without its Secret',
      {
        'policy.yaml': policyYaml(
          'one',
          '  domains: [a.example.com]\n  dkim: { type: SecretRef, secretRef: { name: none } }',
        ),
      },
      /DomainPolicy mail\/one: .*Secret mail\/none is not there/,
    ],
  ];
  for (const [name, files, expected] of wrongChanges) {
    it(`changes nothing for ${name}, and serves the next right one`, async () => {
      await using place = await newPlace();
      await writeManifests(place.manifests, { 'relay.yaml': relayYaml() });
      await using service = await start(place);
      await said(service, 'http://');
      const before = await readFile(join(place.dataDir, 'config', 'relay.json'), 'utf8');
      await writeManifests(place.manifests, files);
      await said(service, 'what was served before stays');
      assert.match(service.said.join('\n'), expected);
      assert.equal(await readFile(join(place.dataDir, 'config', 'relay.json'), 'utf8'), before);
      for (const file of Object.keys(files)) await rm(join(place.manifests, file));
      await writeManifests(place.manifests, { 'relay.yaml': relayYaml('  limits: { maxRecipients: 7 }') });
      await waitUntil('the right one is served', async () => (await configOf(place)).limits.maxRecipients === 7);
    });
  }

  it('tells in the status of the relay that a Secret went missing', async () => {
    await using place = await newPlace();
    await copyQuickstart(place.manifests);
    await using service = await start(place);
    await said(service, 'http://');
    await rm(join(place.manifests, 'users.yaml'));
    await said(service, 'what was served before stays');
    const conditions = await conditionsOf(place, 'mailrelay.mail.outbound');
    assert.equal(conditions.get('ResolvedRefs')?.reason, 'SecretNotFound');
    assert.equal(conditions.get('Ready')?.status, 'False');
  });

  it('leaves a policy without its Secret out at the start, and the others in force', async () => {
    await using place = await newPlace();
    await writeManifests(place.manifests, {
      'relay.yaml': relayYaml(),
      'good.yaml': policyYaml('good', '  domains: [a.example.com]'),
      'bad.yaml': policyYaml(
        'bad',
        '  domains: [b.example.com]\n  dkim: { type: SecretRef, secretRef: { name: none } }',
      ),
      'late.yaml': policyYaml('late', '  domains: [a.example.com]'),
    });
    await using service = await start(place);
    await said(service, 'http://');
    assert.deepEqual(
      (await configOf(place)).policies.map(({ name }) => name),
      ['good'],
    );
    const bad = await conditionsOf(place, 'domainpolicy.mail.bad');
    assert.deepEqual(
      [bad.get('ResolvedRefs')?.reason, bad.get('DKIMReady')?.reason],
      ['SecretNotFound', 'KeysUnavailable'],
    );
    const late = await conditionsOf(place, 'domainpolicy.mail.late');
    assert.equal(late.get('Ready')?.reason, 'Conflicted');
    assert.match(late.get('Accepted')?.message ?? '', /a\.example\.com belongs to mail\/good/);
  });

  it('refuses to start on what it cannot serve, naming every fault, and starts no relay', async () => {
    await using place = await newPlace();
    const secretRef =
      '  tls: { type: SecretRef, secretRef: { name: certificate } }\n  clients: { usersSecretRef: { name: users } }';
    await writeManifests(place.manifests, { 'relay.yaml': relayYaml(secretRef) });
    await assert.rejects(start(place), (error: unknown) => {
      assert.ok(error instanceof RefusedError);
      assert.equal(error.faults.length, 2);
      return error.faults.every(fault => fault.includes('is not there'));
    });
    assert.equal(
      (await conditionsOf(place, 'mailrelay.mail.outbound')).get('CertificateReady')?.reason,
      'CertificateUnavailable',
    );
    await writeManifests(place.manifests, {
      'relay.yaml': relayYaml('  tls: { type: CertManager, certManager: { issuerRef: { name: a, kind: Issuer } } }'),
    });
    await assert.rejects(start(place), /SelfSigned or SecretRef without a cluster/);
    await writeManifests(place.manifests, {
      'relay.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: { name: mail }',
    });
    await assert.rejects(start(place), /exactly one MailRelay without a cluster; found none/);
    await rm(place.manifests, { recursive: true });
    await assert.rejects(start(place), /ENOENT|cannot be read/);
  });

  it('ends with 0 when it was asked to stop, and its status no longer says that the relay runs', async () => {
    await using place = await newPlace();
    await writeManifests(place.manifests, { 'relay.yaml': relayYaml() });
    const service = await start(place);
    await said(service, 'http://');
    service.stop();
    assert.equal(await service.done, 0);
    assert.equal((await conditionsOf(place, 'mailrelay.mail.outbound')).get('Programmed')?.status, 'Unknown');
  });

  it('kills a relay that does not stop, when asked again', async () => {
    await using place = await newPlace();
    await writeManifests(place.manifests, {
      'relay.yaml': relayYaml().replace('mail.example.com', 'stubborn.example.com'),
    });
    const service = await start(place);
    await said(service, 'http://');
    service.stop();
    await waitUntil('it was asked', () => service.log().includes('stopping'));
    service.stop();
    assert.equal(await service.done, 1);
  });

  it('ends with the relay when that ends unasked, so that a supervisor can act', async () => {
    await using place = await newPlace();
    await writeManifests(place.manifests, { 'relay.yaml': relayYaml() });
    const service = await start(place);
    await said(service, 'http://');
    await writeManifests(place.manifests, {
      'relay.yaml': relayYaml().replace('mail.example.com', 'dies.example.com'),
    });
    assert.equal(await service.done, 3);
    assert.match(service.said.join('\n'), /the relay ended with exit code 3, unasked/);
  });

  it('ends when the relay never becomes ready', async () => {
    await using place = await newPlace();
    await writeManifests(place.manifests, {
      'relay.yaml': relayYaml().replace('mail.example.com', 'never-ready.example.com'),
    });
    const service = await start(place);
    assert.equal(await service.done, 7);
  });
});
