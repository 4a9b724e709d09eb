/** What a pod would see, read by the relay's own code. */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { dkimKeyOf, mintDkimKey } from '../../../../operator/domainpolicy/dkim-key.ts';
import { type Certificate, mintAuthority, mintCertificate } from '../../../../operator/mailrelay/certificate.ts';
import type { Desired } from '../../../../operator/mailrelay/desired/desired.ts';
import { filesFolder } from '../../../../operator/mailrelay/desired/files.ts';
import type { AttachedPolicy } from '../../../../operator/mailrelay/desired/input.ts';
import { createStateLoader, type RelayState } from '../../../../relay/state.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';
import { attached, desiredOf, filesOf, find, storedRelay } from '../relay-input.ts';

const relay = storedRelay({
  clients: { usersSecretRef: { name: 'smtp-users' } },
  route: {
    type: 'SmartHost',
    smartHost: { host: 'smtp.example.net', port: 587, credentialsSecretRef: { name: 'provider' } },
  },
});
const secrets = new Map([
  ['mail/smtp-users', new Map([['demo', Buffer.from('demo-password\n')]])],
  [
    'mail/provider',
    new Map([
      ['username', Buffer.from('postroad')],
      ['password', Buffer.from('secret')],
    ]),
  ],
]);

/** Configuration of one pass with the files of another, as kubelet may show it for a moment. */
async function mount(configuration: Desired, files: Desired): Promise<RelayState> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'mounted');
  await mkdir(path);
  for (const [name, content] of filesOf(files)) await writeFile(join(path, name), content);
  const text = find(configuration, 'ConfigMap', 'outbound-relay-config')?.data?.['relay.json'] ?? '';
  await writeFile(join(path, 'relay.json'), text.replaceAll(filesFolder, path));
  return await createStateLoader(join(path, 'relay.json'))();
}

describe('a relay in a pod', () => {
  let certificate: Certificate;
  let renewed: Certificate;
  let policy: AttachedPolicy;

  before(async () => {
    const authority = await mintAuthority('test', Date.now());
    const names = { dnsNames: ['mail.example.com'], addresses: [] };
    certificate = await mintCertificate(authority, names, Date.now());
    renewed = await mintCertificate(authority, names, Date.now());
    const pems = await Promise.all((['RSA2048', 'Ed25519'] as const).map(mintDkimKey));
    policy = { ...attached(), keys: pems.map(pem => dkimKeyOf(pem)) };
  });

  it('reads its certificate, users, credentials and keys', async () => {
    const desired = desiredOf(relay, { certificate, secrets, policies: [policy] });
    const { config, secrets: loaded } = await mount(desired, desired);
    assert.equal(String(loaded.tls?.certificate), certificate.certificate);
    assert.deepEqual([...loaded.users], [['demo', 'demo-password']]);
    assert.deepEqual([...loaded.credentials.values()], [{ username: 'postroad', password: 'secret' }]);
    assert.deepEqual([...loaded.dkimKeys.values()].map(key => key.asymmetricKeyType).sort(), ['ed25519', 'rsa']);
    assert.equal(config.revision, desired.configuration.kind === 'Made' && desired.configuration.revision);
  });

  it('refuses a new configuration with old files, and an old one with new files, instead of running a mixture', async () => {
    const before = desiredOf(relay, { certificate, secrets });
    const password = new Map([...secrets, ['mail/smtp-users', new Map([['demo', Buffer.from('another')]])] as const]);
    for (const after of [
      desiredOf(relay, { certificate: renewed, secrets }),
      desiredOf(relay, { certificate, secrets: password }),
    ]) {
      await assert.rejects(mount(after, before), { code: 'ENOENT' });
      await assert.rejects(mount(before, after), { code: 'ENOENT' });
      await mount(after, after);
    }
  });
});
