import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import {
  dkimpyMissing,
  openDkimMissing,
  verifyWithDkimpy,
  verifyWithMailauth,
  verifyWithOpenDkim,
} from '../support/dkim-verifiers.ts';
import { runProcess } from '../support/processes.ts';
import { programsMissing } from '../support/programs.ts';
import { assertConservation } from '../support/relay-process.ts';
import { type Captured, type Standalone, startQuickstart } from '../support/standalone-process.ts';
import { waitUntil } from '../support/wait-until.ts';

const skip = programsMissing('swaks') || openDkimMissing() || (await dkimpyMissing());
let standalone: Standalone;

before(async () => {
  standalone = await startQuickstart();
});
after(async () => {
  await standalone[Symbol.asyncDispose]();
});

interface Mail {
  readonly port: number;
  /** As swaks puts them between angle brackets. */
  readonly from?: string;
  readonly to: string;
  readonly options?: readonly string[];
}

async function swaks({
  port,
  from = 'me@example.com',
  to,
  options = [],
}: Mail): Promise<{ code: number | null; dialogue: string }> {
  const server = `127.0.0.1:${standalone.ports.get(port)}`;
  const data = 'From: Me <me@example.com>\\nTo: you@example.net\\nSubject: swaks\\n\\nGrüße.\\n';
  const args = ['--server', server, '--from', from, '--to', to, '--data', data, '--helo', 'client.test', ...options];
  const { code, stdout, stderr } = await runProcess('swaks', args);
  return { code, dialogue: `${stdout}\n${stderr}` };
}

async function capturedFor(forwardPath: string): Promise<Captured> {
  return await waitUntil(`the message to ${forwardPath}`, async () =>
    (await standalone.captured()).find(({ forwardPaths }) => forwardPaths.includes(forwardPath)),
  );
}

async function sendAndCapture(mail: Mail, forwardPath: string): Promise<Captured> {
  const { code, dialogue } = await swaks(mail);
  assert.equal(code, 0, dialogue);
  return await capturedFor(forwardPath);
}

const login = ['--auth', 'PLAIN', '--auth-user', 'demo', '--auth-password', 'postroad-demo'];
const verified = (): string[] => ['--tls-verify', '--tls-ca-path', join(standalone.dataDir, 'ca.crt')];

test('swaks sends over port 25, and the captured message has two signatures that independent verifiers accept', {
  skip,
}, async () => {
  const { id, reversePath } = await sendAndCapture({ port: 25, to: 'plain@example.net' }, 'plain@example.net');
  assert.equal(reversePath, 'me@example.com');
  const message = await standalone.raw(id);
  assert.match(message.toString('utf8'), /\r\n\r\nGrüße\.\r\n/);
  const { records } = standalone;
  const selectors = Object.keys(records).flatMap(name => /^(.*)\._domainkey\.example\.com$/.exec(name)?.[1] ?? []);
  assert.equal(selectors.length, 2);
  const all = Object.fromEntries(selectors.map(selector => [selector, true]));
  assert.deepEqual(await verifyWithMailauth(message, records), all);
  assert.deepEqual(await verifyWithDkimpy([message], records), [all]);
  // OpenDKIM knows RSA alone.
  const rsa = selectors.find(selector => records[`${selector}._domainkey.example.com`]?.includes('k=rsa')) ?? '';
  assert.equal((await verifyWithOpenDkim(message, records))[rsa], true);
  // Control: one changed byte, and no verifier accepts it.
  const forged = Buffer.from(message.toString('latin1').replace('Subject: swaks', 'Subject: swapped'), 'latin1');
  assert.ok(!Object.values(await verifyWithMailauth(forged, records)).includes(true));
  assert.ok(!Object.values((await verifyWithDkimpy([forged], records))[0] ?? {}).includes(true));
  assert.ok(!Object.values(await verifyWithOpenDkim(forged, records)).includes(true));
});

test('swaks sends over submission with STARTTLS and AUTH, the certificate verified', { skip }, async () => {
  const options = ['--tls', ...verified(), ...login];
  await sendAndCapture({ port: 587, to: 'submission@example.net', options }, 'submission@example.net');
});

test('swaks sends over submissions with TLS from the first byte and AUTH LOGIN', { skip }, async () => {
  const options = ['--tls-on-connect', ...verified(), '--auth', 'LOGIN', ...login.slice(2)];
  await sendAndCapture({ port: 465, to: 'submissions@example.net', options }, 'submissions@example.net');
});

test('submission refuses a wrong password, and a sender who has not logged in', { skip }, async () => {
  const wrong = ['--tls', '--auth', 'PLAIN', '--auth-user', 'demo', '--auth-password', 'wrong'];
  const denied = await swaks({ port: 587, to: 'denied@example.net', options: wrong });
  assert.match(denied.dialogue, /^<~\* 535 5\.7\.8 /m);
  const anonymous = await swaks({ port: 587, to: 'denied@example.net', options: ['--tls'] });
  assert.match(anonymous.dialogue, /^<~\* 530 5\.7\.0 /m);
  const clear = await swaks({ port: 587, to: 'denied@example.net', options: login });
  assert.notEqual(clear.code, 0, clear.dialogue);
  assert.ok(!(await standalone.captured()).some(({ forwardPaths }) => forwardPaths.includes('denied@example.net')));
});

test('submission refuses to send as a domain without a policy, and says so', { skip }, async () => {
  const options = ['--tls', ...login];
  const { code, dialogue } = await swaks({ port: 587, from: 'me@elsewhere.example', to: 'x@example.net', options });
  assert.notEqual(code, 0);
  assert.match(dialogue, /^<~\* 5\d\d 5\.7\.\d+ .*DomainPolicy/m);
});

/*
 * swaks has no option for parameters of MAIL and RCPT, and puts what it is given between < and >. A parameter value that
 * ends in > takes up the last one: > is an xchar of RFC 3461 s4.
 */
test('swaks sends from and to UTF-8 addresses', { skip }, async () => {
  const from = 'jürgen@example.com> SMTPUTF8 ENVID=u';
  const captured = await sendAndCapture({ port: 25, from, to: 'grüße@bücher.example' }, 'grüße@bücher.example');
  assert.equal(captured.reversePath, 'jürgen@example.com');
  const bare = await swaks({ port: 25, from: 'jürgen@example.com', to: 'x@example.net' });
  assert.match(bare.dialogue, /^<\*\* 5\d\d 5\.\d+\.\d+ /m);
});

test('swaks sends with DSN parameters, and the sender is told of the delivery it asked to be told of', {
  skip,
}, async () => {
  const from = 'asks@example.com> RET=HDRS ENVID=quick+2Bstart';
  const to = 'dsn@example.net> NOTIFY=SUCCESS ORCPT=rfc822;first@example.net';
  await sendAndCapture({ port: 25, from, to }, 'dsn@example.net');
  const dsn = await capturedFor('asks@example.com');
  assert.equal(dsn.reversePath, '');
  const text = (await standalone.raw(dsn.id)).toString('latin1');
  assert.match(text, /^Original-Envelope-Id: quick\+start>\r$/m);
  assert.match(text, /^Original-Recipient: rfc822;\s*first@example\.net>\r$/m);
  assert.match(text, /^Action: (delivered|relayed)\r$/m);
});

test('the books balance after all of it', { skip }, async () => {
  assertConservation(await standalone.metrics());
});
