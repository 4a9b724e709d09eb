import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type Manifests, readManifests } from '../../../operator/standalone/manifests.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { exampleFolder, policyYaml, relayYaml, writeManifests } from './folders.ts';

async function read(files: Readonly<Record<string, string>>): Promise<Manifests> {
  await using folder = await temporaryFolder();
  await writeManifests(folder.path, files);
  return await readManifests(folder.path);
}

const secretYaml = (fields: string): string => `
apiVersion: v1
kind: Secret
metadata: { name: users, namespace: mail }
${fields}`;

describe('a folder of manifests', () => {
  for (const name of ['quickstart', 'smart-host', 'direct']) {
    it(`examples/${name} is valid and holds one MailRelay`, async () => {
      const { objects, faults, warnings } = await readManifests(exampleFolder(name));
      assert.deepEqual([faults, warnings], [[], []]);
      assert.equal(objects.filter(({ kind }) => kind === 'MailRelay').length, 1);
    });
  }

  it('is read whole: several files, several documents each, and no others', async () => {
    const { objects, faults } = await read({
      'a.yaml': `${relayYaml()}---\n${policyYaml('one', '  domains: [a.example.com]')}\n---\n---\n# only a comment\n`,
      'b.yml': policyYaml('two', '  domains: [b.example.com]'),
      '.hidden.yaml': 'broken: [',
      'notes.txt': 'broken: [',
      'empty.yaml': '',
    });
    assert.deepEqual(faults, []);
    assert.deepEqual(
      objects.map(({ metadata }) => metadata.name),
      ['outbound', 'one', 'two'],
    );
  });

  it('tells every fault of every file at once, by file, object and path', async () => {
    const { faults } = await read({
      'a.yaml': relayYaml('  replicas: many\n  hostnam: x'),
      'b.yaml': policyYaml('one', '  domains: [UPPER.example.com]'),
      'c.yaml': 'kind: [',
    });
    assert.equal(faults.length, 4);
    assert.match(faults[0] ?? '', /^a\.yaml: MailRelay mail\/outbound: spec\.hostnam .*did you mean hostname\?/);
    assert.match(faults[1] ?? '', /^a\.yaml: MailRelay mail\/outbound: spec\.replicas must be an integer from 0 to 64/);
    assert.match(
      faults[2] ?? '',
      /^b\.yaml: DomainPolicy mail\/one: spec\.domains\[0\] must be a domain in lower case/,
    );
    assert.match(faults[3] ?? '', /^c\.yaml: /);
  });

  it('leaves objects of other kinds aside, but not mistyped ones of ours', async () => {
    const { warnings, faults } = await read({
      'a.yaml': 'apiVersion: v1\nkind: Namespace\nmetadata: { name: mail }',
      'b.yaml': 'apiVersion: postroad.dev/v1alpha1\nkind: DomainPolcy\nmetadata: { name: a }',
      'c.yaml': 'apiVersion: postroad/v1\nkind: MailRelay\nmetadata: { name: a }',
      'd.yaml': 'just a sentence',
    });
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] ?? '', /^a\.yaml: Namespace mail is left aside/);
    assert.deepEqual(faults, [
      'b.yaml: DomainPolcy a: kind must be DomainPolicy',
      'c.yaml: MailRelay a: apiVersion must be postroad.dev/v1alpha1',
      'd.yaml: must hold objects with apiVersion, kind and metadata',
    ]);
  });

  it('must hold each object once', async () => {
    const { faults } = await read({ 'a.yaml': relayYaml(), 'b.yaml': relayYaml() });
    assert.deepEqual(faults, ['b.yaml: MailRelay mail/outbound: must be there once, and is in a.yaml too']);
  });

  it('that is empty says so', async () => {
    const { faults } = await read({});
    assert.match(faults[0] ?? '', /must hold at least one file that ends in \.yaml or \.yml/);
  });
});

describe('a Secret in a manifest', () => {
  it('gives data in base64 and stringData as it is', async () => {
    const { secrets, faults } = await read({
      'a.yaml': secretYaml('data: { one: AAEC, both: eA== }\nstringData: { two: "pä", both: y }'),
    });
    assert.deepEqual(faults, []);
    const data = secrets.get('mail/users');
    assert.deepEqual(data?.get('one'), Buffer.from([0, 1, 2]));
    assert.equal(String(data?.get('two')), 'pä');
    assert.equal(String(data?.get('both')), 'y');
  });

  it('is refused without its values being told', async () => {
    const { faults } = await read({
      'a.yaml': secretYaml(
        'data: { one: "hunter2!" }\nstringData: { two: 12345, ../three: hunter2, "..": hunter2, four: [hunter2] }\nstringdata: { x: hunter2 }',
      ),
    });
    const text = faults.join('\n');
    assert.doesNotMatch(text, /hunter2|12345/);
    assert.match(text, /stringdata must not be given.*did you mean stringData\?/);
    assert.match(text, /data\.one must be base64/);
    assert.match(text, /stringData\.two must be a string: put it in quotes/);
    assert.match(text, /stringData\["\.\.\/three"\] must be named by letters/);
    assert.match(text, /stringData\["\.\."\] must be named by letters/);
    assert.match(text, /stringData\.four must be a string/);
    assert.equal(faults.length, 6);
  });
});

describe('a hostile manifest', () => {
  const laughs = [
    'a: &a [x,x,x,x,x,x,x,x,x,x]',
    ...'bcdefghi'.split('').map((name, index) => {
      const before = 'abcdefghi'[index];
      return `${name}: &${name} [${Array(10).fill(`*${before}`).join(',')}]`;
    }),
  ].join('\n');
  const cases: readonly [string, string, RegExp][] = [
    ['aliases that unfold into billions', `apiVersion: v1\nkind: Secret\n${laughs}`, /alias/i],
    ['a key twice', `${relayYaml()}  hostname: other.example.com\n`, /unique/i],
    ['tabs for indentation', 'apiVersion: v1\nmetadata:\n\tname: a\n', /tab/i],
    ['nesting without end', '['.repeat(200_000), /a\.yaml: /],
    ['a tag that would make something else', 'a: !!js/function "x"\nkind: !<x> y', /a\.yaml: /],
    ['__proto__ as a field', relayYaml('  __proto__: { replicas: 5 }'), /spec\.__proto__ must not be given/],
    ['a NUL in a name', relayYaml().replace('outbound', '"out\\0bound"'), /metadata\.name must be/],
    ['a path as a name', relayYaml().replace('outbound', '../../x'), /metadata\.name must be/],
    ['a number as a name', relayYaml().replace('outbound', '42'), /metadata\.name must be/],
    ['bytes that are no UTF-8', '\u{FFFF}', /must hold objects|UTF-8|encoded/],
    ['a circle of aliases', 'apiVersion: &a { a: *a }', /a\.yaml: /],
  ];
  for (const [name, text, expected] of cases) {
    it(`with ${name} is a fault, in bounded time`, { timeout: 10_000 }, async () => {
      const { faults, objects } = await read({ 'a.yaml': text });
      assert.deepEqual(objects, []);
      assert.match(faults.join('\n'), expected);
      assert.equal(Object.hasOwn(Object.prototype, 'replicas'), false);
    });
  }

  it('with bytes that are no text is a fault', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'a.yaml'), Buffer.from([0x61, 0xff, 0xfe]));
    assert.match((await readManifests(folder.path)).faults[0] ?? '', /^a\.yaml: cannot be read/);
  });

  it('of more than 1 MiB is not read', async () => {
    const { faults } = await read({ 'a.yaml': `# ${'x'.repeat(1024 * 1024)}`, 'b.yaml': relayYaml() });
    assert.deepEqual(faults, ['a.yaml: must have at most 1048576 bytes, not 1048578']);
  });

  it('of very many documents is not read to its end', { timeout: 60_000 }, async () => {
    const { faults } = await read({ 'a.yaml': 'a: 1\n---\n'.repeat(10_050) });
    assert.match(faults[0] ?? '', /must hold at most 10000 objects/);
  });

  it('that is a folder, a pipe or a link to nowhere is a fault, and the others are read', async () => {
    await using folder = await temporaryFolder();
    await mkdir(join(folder.path, 'a.yaml'));
    await symlink('/nowhere/at/all', join(folder.path, 'b.yaml'));
    execFileSync('mkfifo', [join(folder.path, 'd.yaml')]);
    await writeManifests(folder.path, { 'c.yaml': relayYaml() });
    const { faults, objects } = await readManifests(folder.path);
    assert.equal(faults.length, 3);
    assert.equal(objects.length, 1);
  });

  it('of whatever text gives faults or objects, and never an exception or a name that is a path', {
    timeout: 60_000,
  }, async () => {
    const base = relayYaml();
    const place = fc.nat({ max: base.length });
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom(': ', '\n', '- ', '&a ', '*a', '{', ']', '"', '../', '\t', '|', '? ', '!!map '),
    );
    const broken = fc
      .array(fc.tuple(place, piece), { minLength: 1, maxLength: 4 })
      .map(edits => edits.reduce((text, [at, inserted]) => text.slice(0, at) + inserted + text.slice(at), base));
    await using folder = await temporaryFolder();
    await fc.assert(
      fc.asyncProperty(fc.oneof(broken, fc.string({ unit: 'binary' })), async text => {
        await writeManifests(folder.path, { 'a.yaml': text });
        const { objects } = await readManifests(folder.path);
        for (const { metadata } of objects) assert.match(`${metadata.namespace}${metadata.name}`, /^[-a-z0-9.]+$/);
      }),
      { numRuns: 300 },
    );
  });
});
