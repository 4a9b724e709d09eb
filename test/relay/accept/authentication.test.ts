import assert from 'node:assert/strict';
import { randomBytes, scryptSync } from 'node:crypto';
import { test } from 'node:test';
import { createAuthenticator, parseHash } from '../../../relay/accept/authenticator.ts';
import { createLog } from '../../../relay/log.ts';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, refusals, startAccept } from './accept-fixture.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const plain = (user: string, password: string): string => base64(`\0${user}\0${password}`);

function scryptHash(password: string, ln = 10): string {
  const salt = randomBytes(16);
  const hash = scryptSync(password, salt, 32, { N: 2 ** ln, r: 8, p: 1 });
  return `$scrypt$ln=${ln},r=8,p=1$${salt.toString('base64').replaceAll('=', '')}$${hash.toString('base64')}`;
}

const users = { demo: 'secret', hashed: scryptHash('geheim'), broken: '$scrypt$nonsense', empty: '' };
const submission = {
  name: 'submission',
  tls: 'Required',
  authentication: 'Required',
} as const;

async function secured(port: number): Promise<Dialogue> {
  const client = await Dialogue.open(port);
  await client.say('STARTTLS');
  await client.beginTls();
  await client.say('EHLO client.test');
  return client;
}

/** Lines of the client in turn, each with the reply it gets. */
const exchanges: readonly (readonly [name: string, steps: readonly (readonly [line: string, reply: RegExp])[]])[] = [
  ['PLAIN with an initial response', [[`AUTH PLAIN ${plain('demo', 'secret')}`, /^235 2\.7\.0 /]]],
  [
    'PLAIN with a challenge',
    [
      ['AUTH PLAIN', /^334 $/],
      [plain('demo', 'secret'), /^235 2\.7\.0 /],
    ],
  ],
  ['PLAIN with a hash', [[`auth plain ${plain('hashed', 'geheim')}`, /^235 2\.7\.0 /]]],
  ['PLAIN with the same authorization identity', [[`AUTH PLAIN ${base64('demo\0demo\0secret')}`, /^235 /]]],
  ['PLAIN for another', [[`AUTH PLAIN ${base64('admin\0demo\0secret')}`, /^535 5\.7\.8 /]]],
  [
    'LOGIN',
    [
      ['AUTH LOGIN', /^334 VXNlcm5hbWU6$/],
      [base64('demo'), /^334 UGFzc3dvcmQ6$/],
      [base64('secret'), /^235 /],
    ],
  ],
  [
    'LOGIN with an initial response',
    [
      [`AUTH LOGIN ${base64('demo')}`, /^334 /],
      [base64('secret'), /^235 /],
    ],
  ],
  ['a wrong password', [[`AUTH PLAIN ${plain('demo', 'wrong')}`, /^535 5\.7\.8 /]]],
  ['a wrong password for a hash', [[`AUTH PLAIN ${plain('hashed', 'wrong')}`, /^535 5\.7\.8 /]]],
  ['a user nobody knows', [[`AUTH PLAIN ${plain('nobody', 'secret')}`, /^535 5\.7\.8 /]]],
  ['a user with an empty secret', [[`AUTH PLAIN ${plain('empty', '')}`, /^535 5\.7\.8 /]]],
  ['a hash that nobody can read', [[`AUTH PLAIN ${plain('broken', 'x')}`, /^454 4\.7\.0 /]]],
  [
    'a cancelled exchange',
    [
      ['AUTH LOGIN', /^334 /],
      ['*', /^501 5\.7\.0 /],
      ['NOOP', /^250 /],
    ],
  ],
  ['an empty initial response', [['AUTH PLAIN =', /^501 5\.5\.2 /]]],
  [
    'no base64',
    [
      ['AUTH PLAIN ???', /^501 5\.5\.2 /],
      ['AUTH LOGIN', /^334 /],
      ['a', /^501 5\.5\.2 /],
    ],
  ],
  [
    'a response that is too long',
    [
      ['AUTH PLAIN', /^334 /],
      ['A'.repeat(20_000), /^500 5\.5\.6 /],
      ['NOOP', /^250 /],
    ],
  ],
  [
    'twice',
    [
      [`AUTH PLAIN ${plain('demo', 'secret')}`, /^235 /],
      ['AUTH PLAIN', /^503 5\.5\.1 /],
    ],
  ],
  ['mail before it', [['MAIL FROM:<a@example.com>', /^530 5\.7\.0 /]]],
];

test('each exchange of AUTH is answered with its code', async t => {
  await using accept = await startAccept({ listeners: [submission], users });
  for (const [name, steps] of exchanges) {
    await t.test(name, async () => {
      using client = await secured(accept.port('submission'));
      for (const [line, expected] of steps) assert.match(await client.say(line), expected);
    });
  }
});

test('a user who logged in over TLS sends, and Received tells how but not who', async () => {
  await using accept = await startAccept({ listeners: [submission], users, trustedNetworks: [] });
  using client = await secured(accept.port('submission'));
  assert.match(await client.say(`AUTH PLAIN ${plain('demo', 'secret')}`), /^235 /);
  await client.begin();
  client.send(`${header}\r\nhi\r\n.\r\n`);
  assert.match(await client.reply(), /^250 /);
  const head = accept.messages[0]?.head.toString() ?? '';
  assert.match(head, /with ESMTPSA id \S+\r\n\t\(version=TLSv1\.3 cipher=TLS_\w+\);/);
  assert.doesNotMatch(head, /demo/);
});

test('AUTH is offered over TLS only, unless the listener says otherwise', async () => {
  await using accept = await startAccept({
    listeners: [
      { name: 'refused' },
      { name: 'allowed', plaintextAuthentication: 'Allowed' },
      { name: 'none', authentication: 'None', plaintextAuthentication: 'Allowed' },
      { name: 'implicit', protocol: 'SMTPS' },
    ],
    users,
  });
  const offers = async (client: Dialogue): Promise<boolean> =>
    (await client.say('EHLO x')).includes('AUTH PLAIN LOGIN');
  using refused = await Dialogue.open(accept.port('refused'));
  using allowed = await Dialogue.open(accept.port('allowed'));
  using none = await Dialogue.open(accept.port('none'));
  using implicit = await Dialogue.connectTls(accept.port('implicit'));
  await implicit.reply();
  assert.deepEqual(
    [await offers(refused), await offers(allowed), await offers(none), await offers(implicit)],
    [false, true, false, true],
  );
  assert.match(await refused.say(`AUTH PLAIN ${plain('demo', 'secret')}`), /^538 5\.7\.11 /);
  assert.match(await none.say(`AUTH PLAIN ${plain('demo', 'secret')}`), /^502 5\.5\.1 /);
  assert.match(await allowed.say(`AUTH PLAIN ${plain('demo', 'secret')}`), /^235 /);
  assert.equal(await offers(allowed), false);
  assert.match(await allowed.say('MAIL FROM:<a@example.com>'), /^250 /);
  assert.match(await allowed.say('AUTH LOGIN'), /^503 /);
});

test('the third failed login ends the session', async () => {
  await using accept = await startAccept({ listeners: [submission], users });
  using client = await secured(accept.port('submission'));
  const wrong = `AUTH PLAIN ${plain('demo', 'wrong')}`;
  assert.match(await client.say(wrong), /^535 /);
  assert.match(await client.say(wrong), /^535 /);
  assert.match(await client.say(wrong), /^421 4\.7\.0 /);
  assert.equal(await client.untilClosed(), '');
  assert.equal(await refusals(accept.metrics, 'AuthenticationFailed'), 3);
});

test('a changed password holds from the reload on', async () => {
  await using accept = await startAccept({ listeners: [submission], users });
  const login = async (password: string): Promise<string> => {
    using client = await secured(accept.port('submission'));
    return await client.say(`AUTH PLAIN ${plain('hashed', password)}`);
  };
  assert.match(await login('geheim'), /^235 /);
  accept.reload({ users: { hashed: scryptHash('neu') } });
  assert.match(await login('geheim'), /^535 /);
  assert.match(await login('neu'), /^235 /);
});

test('an unknown user costs what some known one costs, always the same, and so does one with a plain password', async () => {
  const { verify } = createAuthenticator(createLog('silent'));
  /** Of the processor, which nobody else's work lengthens. */
  async function time(all: ReadonlyMap<string, string>, user: string): Promise<number> {
    const times: number[] = [];
    for (let round = 0; round < 3; round++) {
      const from = process.cpuUsage();
      assert.equal(await verify(all, { user, password: 'wrong' }), 'Wrong');
      times.push(process.cpuUsage(from).user / 1000);
    }
    return Math.min(...times);
  }
  const dearOnly = new Map([
    ['dear', scryptHash('x', 14)],
    ['plain', 'x'],
  ]);
  const dear = await time(dearOnly, 'dear');
  const [unknown, withPlain] = [await time(dearOnly, 'nobody'), await time(dearOnly, 'plain')];
  assert.ok(unknown > dear / 2 && withPlain > dear / 2, `${dear} ${unknown} ${withPlain}`);
  // Of two costs both are drawn for names that are none: were it always the dearer, the cheaper would tell a user.
  const mixed = new Map([...dearOnly, ['cheap', scryptHash('x', 4)]]);
  const unknowns: number[] = [];
  for (let at = 0; at < 20; at++) unknowns.push(await time(mixed, `nobody${at}`));
  const cheap = unknowns.filter(ms => ms < dear / 4).length;
  assert.ok(cheap > 0 && cheap < unknowns.length, unknowns.join());
});

test('password guessers get a bounded queue', async () => {
  const { verify } = createAuthenticator(createLog('silent'));
  const all = new Map([['a', scryptHash('x', 12)]]);
  const verdicts = await Promise.all(Array.from({ length: 150 }, () => verify(all, { user: 'a', password: 'wrong' })));
  assert.equal(verdicts.filter(verdict => verdict === 'Unavailable').length, 48);
  assert.equal(verdicts.filter(verdict => verdict === 'Wrong').length, 102);
});

test('hashes that are malformed or cost too much are recognized', () => {
  assert.equal(parseHash('password'), undefined);
  for (const stored of [
    '$scrypt$',
    '$scrypt$ln=0,r=8,p=1$c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2g',
    '$scrypt$ln=30,r=8,p=1$c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2g',
    '$scrypt$ln=10,r=0,p=1$c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2g',
    '$scrypt$ln=10,r=8,p=99$c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2g',
    '$scrypt$ln=10,r=8,p=1$c2FsdA$c2hvcnQ',
  ]) {
    assert.equal(parseHash(stored), 'Malformed', stored);
  }
});
