import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createTxtLookups, type DnsTargets, type TxtAnswer } from '../../../operator/dns/txt.ts';
import { type AuthoritativeDns, startAuthoritativeDns } from '../../support/authoritative-dns.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';

/** `root` plays the resolver: it knows who serves which zone, as a resolver finds it out. */
let root: AuthoritativeDns;
let one: AuthoritativeDns;
let two: AuthoritativeDns;
let folder: Awaited<ReturnType<typeof temporaryFolder>>;

const { signal } = new AbortController();

before(async () => {
  folder = await temporaryFolder();
  const start = async (name: string): Promise<AuthoritativeDns> => {
    await mkdir(join(folder.path, name));
    return await startAuthoritativeDns(join(folder.path, name));
  };
  [root, one, two] = await Promise.all([start('root'), start('one'), start('two')]);
});
after(async () => {
  await Promise.all([root, one, two].map(server => server[Symbol.asyncDispose]()));
  await folder[Symbol.asyncDispose]();
});

function servedBy(...addresses: readonly string[]): string[] {
  return addresses.flatMap((address, index) => [`@ NS ns${index + 1}`, `ns${index + 1} A ${address}`]);
}

async function ask(name: string, targets: DnsTargets = 'Any'): Promise<TxtAnswer> {
  const lookups = createTxtLookups({ nameservers: [`${root.address}:53`], targets, now: () => Date.now() });
  return await lookups.authoritative(name, signal);
}

function said({ servers, problem }: TxtAnswer): string[] {
  const lines = servers.map(({ host, said: heard }) =>
    [
      host,
      heard.kind,
      ...(heard.kind === 'Texts' ? heard.texts : []),
      ...(heard.kind === 'Silent' ? [heard.why] : []),
    ].join(' '),
  );
  return problem === undefined ? lines : [...lines, `problem: ${problem}`];
}

describe('the authoritative servers of a name', () => {
  it('are asked each for itself, so that one that lags is seen', async () => {
    const servers = servedBy(one.address, two.address);
    await root.setZone('lags.example', servers);
    await one.setZone('lags.example', [...servers, 'k._domainkey TXT "v=DKIM1; " "p=AAAA"']);
    await two.setZone('lags.example', servers);
    assert.deepEqual(said(await ask('k._domainkey.lags.example')), [
      'ns1.lags.example Texts v=DKIM1; p=AAAA',
      'ns2.lags.example Nothing',
    ]);
    assert.deepEqual(said(await ask('lags.example')), ['ns1.lags.example Nothing', 'ns2.lags.example Nothing']);
  });

  it('say a record of two kilobytes over TCP', async () => {
    const servers = servedBy(one.address);
    const strings = Array.from({ length: 9 }, (_, index) => String(index).repeat(250));
    await root.setZone('long.example', servers);
    await one.setZone('long.example', [...servers, `k TXT ${strings.map(part => `"${part}"`).join(' ')}`]);
    assert.deepEqual(said(await ask('k.long.example')), [`ns1.long.example Texts ${strings.join('')}`]);
  });

  it('are found behind an alias that leads into a zone of others', async () => {
    const [here, there] = [servedBy(one.address), servedBy(two.address)];
    await root.setZone('alias.example', here);
    await root.setZone('provider.example', there);
    await one.setZone('alias.example', [...here, 'k._domainkey CNAME k.dkim.provider.example.', 'loop CNAME loop']);
    await two.setZone('provider.example', [...there, 'k.dkim TXT "v=DKIM1; p=BBBB"']);
    assert.deepEqual(said(await ask('k._domainkey.alias.example')), ['ns1.provider.example Texts v=DKIM1; p=BBBB']);
    assert.deepEqual(said(await ask('loop.alias.example')), ['ns1.alias.example Nothing']);
  });

  it('that do not know the zone are left out, and with them alone nothing is known', async () => {
    const servers = servedBy(one.address, two.address);
    await root.setZone('lame.example', servers);
    await one.setZone('lame.example', [...servers, '@ TXT "here"']);
    assert.deepEqual(said(await ask('lame.example')), ['ns1.lame.example Texts here']);
    await one.removeZone('lame.example');
    assert.deepEqual(said(await ask('lame.example')), ['problem: no server of lame.example is authoritative for it']);
  });

  it('that say nothing are not taken for a "no"', async () => {
    const servers = servedBy(one.address, two.address);
    await root.setZone('silent.example', servers);
    await one.setZone('silent.example', [...servers, '@ TXT "here"']);
    two.pause();
    try {
      assert.deepEqual(said(await ask('silent.example')), [
        'ns1.silent.example Texts here',
        'ns2.silent.example Silent no answer in time',
      ]);
    } finally {
      two.resume();
    }
  });

  it('of a part of a domain that is delegated are those of that part', async () => {
    const [above, below] = [servedBy(one.address), servedBy(two.address)];
    await root.setZone('parent.example', above);
    await root.setZone('_domainkey.parent.example', below);
    await one.setZone('parent.example', above);
    await two.setZone('_domainkey.parent.example', [...below, 'k TXT "v=DKIM1; p=CCCC"']);
    assert.deepEqual(said(await ask('k._domainkey.parent.example')), [
      'ns1._domainkey.parent.example Texts v=DKIM1; p=CCCC',
    ]);
  });

  it('on loopback, or wherever else no name server of a domain is, are not asked', async () => {
    const servers = ['@ NS ns1', `ns1 A ${one.address}`, 'ns1 AAAA ::1', '@ NS ns2', 'ns2 A 169.254.169.254'];
    await root.setZone('inward.example', servers);
    await one.setZone('inward.example', [...servers, '@ TXT "what is here"']);
    assert.deepEqual(said(await ask('inward.example', 'Routable')), [
      'ns1.inward.example Silent its address is not one of a name server',
      'ns2.inward.example Silent its address is not one of a name server',
    ]);
    assert.ok(said(await ask('inward.example')).includes('ns1.inward.example Texts what is here'));
  });

  it('are not known without a resolver that answers', async () => {
    const [line] = said(await ask('nowhere.invalid'));
    assert.match(line ?? '', /^problem: the resolver says REFUSED for nowhere\.invalid$/);
  });
});
