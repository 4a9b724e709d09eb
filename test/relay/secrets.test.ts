import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseConfig, type RelayConfig } from '../../relay/config.ts';
import { loadSecrets } from '../../relay/secrets.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';

function configuration(path: string): RelayConfig {
  return parseConfig({
    revision: '1',
    namespace: 'mail',
    name: 'outbound',
    hostname: 'mail.example.com',
    listeners: [{ name: 'smtp', port: 25, bindPort: 0, protocol: 'SMTP', tls: 'Disabled', authentication: 'None' }],
    http: { bindPort: 0 },
    clients: { usersDir: path },
    route: {
      type: 'SmartHost',
      smartHost: { host: 'smtp.example.net', port: 587, tls: 'Verified', credentialsDir: path },
    },
  });
}

const entries = { username: 'postroad', password: 'secret\n', 'a.b_c-d': 'ü', __proto__x: 'kept' };

test('users and credentials are the same from a folder with a file each and from one JSON object', async () => {
  await using folder = await temporaryFolder();
  const directory = join(folder.path, 'users');
  await mkdir(directory);
  for (const [name, text] of Object.entries(entries)) await writeFile(join(directory, name), text);
  const file = join(folder.path, 'users.json');
  await writeFile(file, JSON.stringify(entries));
  const fromFolder = await loadSecrets(configuration(directory));
  const fromFile = await loadSecrets(configuration(file));
  assert.deepEqual(new Map([...fromFile.users].sort()), new Map([...fromFolder.users].sort()));
  assert.equal(fromFile.users.get('password'), 'secret');
  assert.deepEqual([...fromFile.credentials.values()], [{ username: 'postroad', password: 'secret' }]);
  assert.deepEqual([...fromFolder.credentials.values()], [...fromFile.credentials.values()]);
});

test('the credentials of Redis need no user name, and an empty one is none', async () => {
  await using folder = await temporaryFolder();
  const [alone, both, empty] = ['alone.json', 'both.json', 'empty.json'].map(name => join(folder.path, name));
  await writeFile(alone ?? '', '{"password":"secret"}');
  await writeFile(both ?? '', '{"username":"relay","password":"secret"}');
  await writeFile(empty ?? '', '{"username":"","password":"secret"}');
  const load = async (path: string | undefined): Promise<unknown[]> => {
    const redis = { addresses: [{ host: 'r', port: 6379 }], tls: 'Disabled', keyPrefix: 'p:', durability: 'Fsync' };
    const { clients, ...rest } = configuration(folder.path);
    const queue = { type: 'Redis', redis: { ...redis, type: 'Single', credentialsDir: path } };
    const config = parseConfig({
      ...rest,
      clients: { ...clients, usersDir: undefined },
      route: { type: 'Direct' },
      queue,
    });
    return [...(await loadSecrets(config)).redisCredentials.values()];
  };
  assert.deepEqual(await load(alone), [{ password: 'secret' }]);
  assert.deepEqual(await load(both), [{ username: 'relay', password: 'secret' }]);
  assert.deepEqual(await load(empty), [{ password: 'secret' }]);
});

for (const [what, text] of [
  ['no JSON', '{"username": "hidden-word'],
  ['a list', '["hidden-word"]'],
  ['an object with a number', '{"hidden-word": 1}'],
] as const) {
  test(`a file with ${what} is refused by its name, without a word of its content`, async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, 'users.json');
    await writeFile(file, text);
    await assert.rejects(loadSecrets(configuration(file)), (error: Error) => {
      assert.match(error.message, /users\.json must be a JSON object of strings/);
      assert.doesNotMatch(`${error.message}${String(error.cause)}`, /hidden-word/);
      return true;
    });
  });
}
