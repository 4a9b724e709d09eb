import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { header, startAccept } from './accept-fixture.ts';

test('a message is taken, and the queue gets exactly its bytes behind what we add', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.connect(accept.port());
  assert.match(await client.reply(), /^220 mail\.example\.com ESMTP/);
  const ehlo = await client.say('EHLO client.test');
  assert.deepEqual(ehlo.split('\n'), [
    '250-mail.example.com',
    '250-SIZE 26214400',
    '250-8BITMIME',
    '250-SMTPUTF8',
    '250-PIPELINING',
    '250-ENHANCEDSTATUSCODES',
    '250-DSN',
    '250-CHUNKING',
    '250-LIMITS RCPTMAX=1000',
    '250 STARTTLS',
  ]);
  await client.begin({ to: ['b@example.net', 'B@example.net', 'b@EXAMPLE.net'] });
  client.send(`${header}\r\nhello\r\n..dot\r\n.\r\n`);
  assert.equal(await client.reply(), '250 2.0.0 queued as ID000002');
  const [message] = accept.messages;
  assert.equal(message?.content.bytes?.toString(), `${header}\r\nhello\r\n.dot\r\n`);
  assert.match(
    message.head.toString(),
    /^Received: from client\.test \(\[127\.0\.0\.1\]\)\r\n\tby mail\.example\.com \(Postroad\) with ESMTP id ID000002;\r\n\t\w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000\r\nDate: [^\r]+\r\nMessage-ID: <ID000002@mail\.example\.com>\r\n$/,
  );
  assert.deepEqual(
    message.recipients.map(({ forwardPath, domain, destination }) => [forwardPath, domain, destination]),
    [
      ['b@example.net', 'example.net', 'capture'],
      ['B@example.net', 'example.net', 'capture'],
    ],
  );
  assert.equal(message.tenant, 'shop');
  assert.equal(message.policy, 'shop/shop');
  assert.equal(await client.say('QUIT'), '221 2.0.0 bye');
  assert.equal(await client.untilClosed(), '');
});

/** What the client says, and what it is told. */
const afterEhlo: readonly (readonly [command: string, reply: RegExp])[] = [
  ['NOOP', /^250 2\.0\.0 /],
  ['noop ignored argument', /^250 2\.0\.0 /],
  ['RSET', /^250 2\.0\.0 /],
  ['RSET now', /^501 5\.5\.4 /],
  ['HELP', /^214-2\.0\.0 .*\n214 2\.0\.0 /],
  ['VRFY a@example.com', /^252 2\.5\.0 /],
  ['VRFY nobody@nowhere.example', /^252 2\.5\.0 /],
  ['VRFY', /^501 5\.5\.4 /],
  ['EXPN list', /^502 5\.5\.1 /],
  ['WIZ', /^500 5\.5\.1 /],
  ['SHELL', /^500 5\.5\.1 /],
  ['KILL', /^500 5\.5\.1 /],
  ['XCLIENT ADDR=10.0.0.1', /^500 5\.5\.1 /],
  ['XFORWARD NAME=x', /^500 5\.5\.1 /],
  ['LHLO x', /^500 5\.5\.1 /],
  ['', /^500 5\.5\.1 /],
  ['HELO other', /^250 mail\.example\.com$/],
  ['HELO', /^501 5\.5\.4 /],
  ['EHLO', /^501 5\.5\.4 /],
  ['EHLO [IPv6:::1]', /^250-mail\.example\.com\n/],
  ['EHLO two names', /^501 5\.5\.4 /],
  ['RCPT TO:<b@example.net>', /^503 5\.5\.1 /],
  ['DATA', /^503 5\.5\.1 /],
  ['STARTTLS now', /^501 5\.5\.4 /],
  ['AUTH PLAIN', /^538 5\.7\.11 /],
  ['AUTH', /^501 5\.5\.4 /],
  ['AUTH CRAM-MD5', /^504 5\.5\.4 /],
  ['GET / HTTP/1.1', /^421 4\.7\.0 /],
];

test('each command is answered with its code', async t => {
  await using accept = await startAccept();
  for (const [command, expected] of afterEhlo) {
    await t.test(JSON.stringify(command), async () => {
      using client = await Dialogue.open(accept.port());
      assert.match(await client.say(command), expected);
    });
  }
});

const mailParameters: readonly (readonly [argument: string, reply: RegExp])[] = [
  ['FROM:<>', /^250 2\.1\.0 /],
  ['from:<a@example.com>', /^250 2\.1\.0 /],
  ['FROM:<a@example.com> ', /^250 2\.1\.0 /],
  ['FROM:<@relay.example,@other.example:a@example.com>', /^250 2\.1\.0 /],
  ['FROM:<"a>b c"@example.com> SIZE=1', /^250 2\.1\.0 /],
  ['FROM: <a@example.com>', /^501 5\.5\.4 /],
  ['FROM:a@example.com', /^501 5\.5\.4 /],
  ['FROM:<a@example.com', /^501 5\.5\.4 /],
  ['FROM:<a@example.com>SIZE=1', /^501 5\.5\.4 /],
  ['FROM <a@example.com>', /^501 5\.5\.4 /],
  ['', /^501 5\.5\.4 /],
  ['FROM:<a@@example.com>', /^501 5\.1\.7 /],
  ['FROM:<a b@example.com>', /^501 5\.1\.7 /],
  ['FROM:<postmaster>', /^501 5\.1\.7 /],
  ['FROM:<ä@example.com>', /^553 5\.6\.7 /],
  ['FROM:<ä@example.com> SMTPUTF8', /^250 2\.1\.0 /],
  ['FROM:<a@example.com> SMTPUTF8=yes', /^501 5\.5\.4 /],
  ['FROM:<a@stranger.example>', /^550 5\.7\.1 /],
  ['FROM:<a@example.com> SIZE=26214400', /^250 2\.1\.0 /],
  ['FROM:<a@example.com> SIZE=26214401', /^552 5\.3\.4 /],
  ['FROM:<a@example.com> SIZE=99999999999999999999', /^552 5\.3\.4 /],
  ['FROM:<a@example.com> SIZE=-1', /^501 5\.5\.4 /],
  ['FROM:<a@example.com> SIZE', /^501 5\.5\.4 /],
  ['FROM:<a@example.com> SIZE=1 SIZE=1', /^501 5\.5\.4 /],
  ['FROM:<a@example.com> BODY=8bitmime', /^250 2\.1\.0 /],
  ['FROM:<a@example.com> BODY=BINARYMIME', /^501 5\.5\.4 /],
  ['FROM:<a@example.com> BODY', /^501 5\.5\.4 /],
  ['FROM:<a@example.com> RET=FULL ENVID=QQ+2B314', /^250 2\.1\.0 /],
  ['FROM:<a@example.com> RET=SOME', /^501 5\.5\.4 /],
  ['FROM:<a@example.com> ENVID=+0D+0A', /^501 5\.5\.4 /],
  ['FROM:<a@example.com> ENVID=a+2b', /^501 5\.5\.4 /],
  [`FROM:<a@example.com> ENVID=${'x'.repeat(101)}`, /^501 5\.5\.4 /],
  ['FROM:<a@example.com> REQUIRETLS', /^555 5\.5\.4 /],
  ['FROM:<a@example.com> AUTH=<>', /^250 2\.1\.0 /],
  ['FROM:<a@example.com> AUTH=b+40example.com', /^250 2\.1\.0 /],
  ['FROM:<a@example.com> AUTH=+zz', /^501 5\.5\.4 /],
  ['FROM:<a@example.com> HOLDFOR=5', /^555 5\.5\.4 /],
  ['FROM:<a@example.com> =5', /^501 5\.5\.4 /],
];

test('each argument of MAIL is answered with its code', async t => {
  await using accept = await startAccept();
  for (const [argument, expected] of mailParameters) {
    await t.test(JSON.stringify(argument), async () => {
      using client = await Dialogue.open(accept.port());
      client.send(Buffer.from(`MAIL ${argument}\r\n`, 'utf8'));
      assert.match(await client.reply(), expected);
    });
  }
});

const rcptParameters: readonly (readonly [argument: string, reply: RegExp])[] = [
  ['TO:<b@example.net>', /^250 2\.1\.5 /],
  ['TO:<Postmaster>', /^250 2\.1\.5 /],
  ['TO:<b@[192.0.2.1]>', /^250 2\.1\.5 /],
  ['TO:<>', /^501 5\.1\.3 /],
  ['TO:<b>', /^501 5\.1\.3 /],
  ['TO:<b@exa_mple..net>', /^501 5\.1\.3 /],
  ['TO: <b@example.net>', /^501 5\.5\.4 /],
  ['TO:<ü@example.net>', /^553 5\.6\.7 /],
  ['TO:<b@example.net> NOTIFY=SUCCESS,DELAY,FAILURE ORCPT=rfc822;b+40example.net', /^250 2\.1\.5 /],
  ['TO:<b@example.net> NOTIFY=NEVER', /^250 2\.1\.5 /],
  ['TO:<b@example.net> NOTIFY=NEVER,DELAY', /^501 5\.5\.4 /],
  ['TO:<b@example.net> NOTIFY=DELAY,DELAY', /^501 5\.5\.4 /],
  ['TO:<b@example.net> NOTIFY', /^501 5\.5\.4 /],
  ['TO:<b@example.net> NOTIFY=NEVER NOTIFY=NEVER', /^501 5\.5\.4 /],
  ['TO:<b@example.net> ORCPT=b@example.net', /^501 5\.5\.4 /],
  ['TO:<b@example.net> ORCPT=rfc822;b+4', /^501 5\.5\.4 /],
  [`TO:<b@example.net> ORCPT=rfc822;${'x'.repeat(500)}`, /^501 5\.5\.4 /],
  ['TO:<b@example.net> SIZE=1', /^555 5\.5\.4 /],
];

test('each argument of RCPT is answered with its code', async t => {
  await using accept = await startAccept();
  for (const [argument, expected] of rcptParameters) {
    await t.test(JSON.stringify(argument), async () => {
      using client = await Dialogue.open(accept.port());
      await client.say('MAIL FROM:<a@example.com>');
      client.send(Buffer.from(`RCPT ${argument}\r\n`, 'utf8'));
      assert.match(await client.reply(), expected);
    });
  }
});

test('commands out of order are refused and change nothing', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.connect(accept.port());
  await client.reply();
  assert.match(await client.say('MAIL FROM:<a@example.com>'), /^503 5\.5\.1 .*EHLO/);
  await client.say('HELO client.test');
  await client.say('MAIL FROM:<a@example.com>');
  assert.match(await client.say('MAIL FROM:<c@example.com>'), /^503 5\.5\.1 .*RSET/);
  assert.match(await client.say('DATA'), /^554 5\.5\.1 /);
  assert.match(await client.say('BDAT 0 LAST'), /^554 5\.5\.1 /);
  await client.say('RCPT TO:<b@example.net>');
  assert.match(await client.say('DATA now'), /^501 5\.5\.4 /);
  assert.match(await client.say('DATA'), /^354 /);
  client.send(`${header}\r\n.\r\n`);
  assert.match(await client.reply(), /^250 2\.0\.0 /);
  assert.match(accept.messages[0]?.head.toString() ?? '', /with SMTP id/);
  assert.equal(accept.messages[0]?.sender.reversePath?.text, 'a@example.com');
});

test('what MAIL and RCPT asked for reaches the queue as it was meant', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.say('MAIL FROM:<@hop.example:A.b@Example.com> RET=HDRS ENVID=a+2Bb BODY=8BITMIME SMTPUTF8 SIZE=100');
  await client.say('RCPT TO:<c@example.net> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;c+2B@example.net');
  await client.say('RCPT TO:<d@example.net> NOTIFY=NEVER');
  await client.say('DATA');
  client.send(`${header}\r\n.\r\n`);
  await client.reply();
  const [message] = accept.messages;
  assert.deepEqual(message?.sender, {
    reversePath: { text: 'A.b@Example.com', localPart: 'A.b', domain: 'example.com' },
    body: '8BITMIME',
    smtputf8: true,
    requireTls: false,
    ret: 'HDRS',
    envid: 'a+b',
  });
  assert.deepEqual(message.recipients, [
    {
      forwardPath: 'c@example.net',
      domain: 'example.net',
      destination: 'capture',
      notify: ['Success', 'Delay'],
      orcpt: 'rfc822;c+2B@example.net',
    },
    { forwardPath: 'd@example.net', domain: 'example.net', destination: 'capture', notify: ['Never'] },
  ]);
  assert.match(message.head.toString(), /with UTF8SMTP id/);
});

test('pipelined commands are answered in order, and the commands behind a message are read', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  const one = `MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.net>\r\nDATA\r\n${header}\r\nhi\r\n.\r\n`;
  client.send(`${one.repeat(3)}NOOP\r\nQUIT\r\nNOOP\r\n`);
  const codes = (await client.untilClosed()).split('\r\n').map(line => line.slice(0, 3));
  assert.deepEqual(codes, [...Array(3).fill(['250', '250', '354', '250']).flat(), '250', '221', '']);
  assert.equal(accept.messages.length, 3);
});

test('without an identity there is no mail, and the refusal says what is missing', async () => {
  await using accept = await startAccept({ trustedNetworks: [] });
  using client = await Dialogue.open(accept.port());
  assert.match(await client.say('MAIL FROM:<a@example.com>'), /^550 5\.7\.1 .*AUTH/s);
});

test('the From field must be one that the sender may use', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send('From: a@stranger.example\r\n\r\nhi\r\n.\r\n');
  assert.match(await client.reply(), /^550[- ]5\.7\.1 /);
  assert.equal(accept.messages.length, 0);
  assert.equal(accept.spools[0]?.discarded, true);
});

test('a message with Date and Message-ID keeps them, and one that loops is refused', async () => {
  await using accept = await startAccept();
  using client = await Dialogue.open(accept.port());
  await client.begin();
  client.send(`${header}date: now\r\nMESSAGE-ID : <x@y>\r\n\r\n.\r\n`);
  assert.match(await client.reply(), /^250 /);
  assert.doesNotMatch(accept.messages[0]?.head.toString() ?? '', /Date:|Message-ID:/);
  for (const [hops, expected] of [
    [50, /^250 2\.0\.0 /],
    [51, /^554 5\.4\.6 /],
  ] as const) {
    await client.begin();
    client.send(`${'Received: from x by y; now\r\n'.repeat(hops)}${header}\r\n.\r\n`);
    assert.match(await client.reply(), expected);
  }
});
