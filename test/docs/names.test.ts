/** Pages are written by hand, and code moves on: what they name must be there. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, it } from 'node:test';
import { apiVersion } from '../../crds/common.ts';
import { appliedHashAnnotation } from '../../operator/kube/apply.ts';
import * as labels from '../../operator/labels.ts';
import { operatorMetrics } from '../../operator/metric-definitions.ts';
import { definitions } from '../../relay/metrics.ts';

const root = join(import.meta.dirname, '../..');
const read = (path: string): string => readFileSync(join(root, path), 'utf8');
const pages = globSync(['README.md', 'operator/README.md', 'docs/*.md', 'docs/{how-to,runbooks}/*.md'], { cwd: root });

/** From the reference page, which another test holds to the schema. */
const fields = new Set(
  [...read('docs/reference/resources.md').matchAll(/^\| `([^`]+)` \|/gm)].map(([, path = '']) =>
    path.replaceAll('[]', ''),
  ),
);
const metrics = new Set([...Object.keys(definitions), ...Object.keys(operatorMetrics)]);
const ownNames = new Set<unknown>([apiVersion, appliedHashAnnotation, ...Object.values(labels)]);
const conditionTypes = /type ConditionType =([^;]+);/.exec(read('operator/conditions.ts'))?.[1] ?? '';

function fieldsNamed(text: string): string[] {
  const plain = [...text.matchAll(/(?<![\w/.-])\.?((?:spec|status)(?:\.[a-zA-Z]+|\[[^\]]*\])+)/g)].map(
    ([, path = '']) => path.replaceAll(/\[[^\]]*\]/g, ''),
  );
  return [...plain, ...fieldsInRanges(text), ...fieldsInPatches(text)];
}

/** `{range .status.list[*]}{.field}{end}` */
function fieldsInRanges(text: string): string[] {
  return [...text.matchAll(/\{range \.([\w.]+)\[[^\]]*\]\}(.*?)\{end\}/gs)].flatMap(([, list = '', body = '']) =>
    [...body.matchAll(/\{\.(\w+)\}/g)].map(([, field = '']) => `${list}.${field}`),
  );
}

function fieldsInPatches(text: string): string[] {
  return [...text.matchAll(/(?:domainpolicy|mailrelay) \S+ .*?--type merge --patch '(\{.*\})'/g)].flatMap(
    ([, patch]) => (patch === undefined ? [] : pathsOf(JSON.parse(patch)).filter(path => path.startsWith('spec'))),
  );
}

function pathsOf(value: unknown, above: readonly string[] = []): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [above.join('.')];
  return Object.entries(value).flatMap(([name, inner]) => pathsOf(inner, [...above, name]));
}

function anchorsOf(text: string): Set<string> {
  const titles = [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title.toLowerCase());
  return new Set(titles.map(title => title.replaceAll(/[^a-z0-9 _-]/g, '').replaceAll(' ', '-')));
}

function brokenLinks(page: string, text: string): string[] {
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return links.filter(link => {
    if (/^https?:/.test(link)) return false;
    const [path = '', anchor] = link.split('#');
    const file = path === '' ? join(root, page) : join(root, dirname(page), path);
    if (!existsSync(file)) return true;
    return anchor !== undefined && !anchorsOf(read(relative(root, file))).has(anchor);
  });
}

describe('what pages name is there:', () => {
  for (const page of pages) {
    const text = read(page);
    it(`fields of ${page}`, () => {
      const unknown = fieldsNamed(text).filter(path => !fields.has(path));
      assert.deepEqual([...new Set(unknown)], []);
    });

    it(`metrics, labels and condition types of ${page}`, () => {
      const named = [...text.matchAll(/\bpostroad_[a-z_]*[a-z]\b(?!_)/g)].map(([name]) => name);
      assert.deepEqual(
        named.filter(name => !metrics.has(name.replace(/_(bucket|sum|count)$/, ''))),
        [],
      );
      const ours = [...text.matchAll(/\bpostroad\.dev\/[a-z0-9-]+/g)].map(([name]) => name);
      assert.deepEqual(
        ours.filter(name => !ownNames.has(name)),
        [],
      );
      const types = [...text.matchAll(/--for=condition=(\w+)/g)].map(([, type = '']) => type);
      assert.deepEqual(
        types.filter(type => !conditionTypes.includes(`'${type}'`)),
        [],
      );
    });

    it(`links of ${page}`, () => {
      assert.deepEqual(brokenLinks(page, text), []);
    });
  }

  it('and a name that is not there would be found', () => {
    const text =
      '`spec.nothing` {range .status.dkim.keys[*]}{.age}{end} patch domainpolicy x --type merge --patch \'{"spec":{"dkim":{"kind":1}}}\'';
    assert.deepEqual(
      fieldsNamed(text).filter(path => !fields.has(path)),
      ['spec.nothing', 'status.dkim.keys.age', 'spec.dkim.kind'],
    );
    assert.deepEqual(brokenLinks('README.md', '[x](docs/nowhere.md) [y](relay/README.md#nothing)'), [
      'docs/nowhere.md',
      'relay/README.md#nothing',
    ]);
  });
});
