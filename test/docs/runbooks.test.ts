import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { operatorAlerts } from '../../operator/alerts.ts';
import { reasons } from '../../operator/conditions.ts';
import { alerts as relayAlerts } from '../../operator/mailrelay/alerts.ts';

interface Runbook {
  readonly page: string;
  /** What has a section of its own, titled with its name. */
  readonly names: readonly string[];
}

const runbooks: readonly Runbook[] = [
  { page: 'runbooks/alerts.md', names: [...relayAlerts, ...operatorAlerts].map(({ name }) => name) },
  { page: 'runbooks/conditions.md', names: Object.keys(reasons) },
];

for (const { page, names } of runbooks) {
  test(`docs/${page} has a section for each name that leads there, and no other, each with something to do`, async () => {
    const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
    const sections = text.split(/^(?=#{1,2} )/m).filter(section => section.startsWith('## '));
    assert.deepEqual(
      sections.map(section => section.slice(3, section.indexOf('\n'))).toSorted(),
      [...names].toSorted(),
    );
    for (const section of sections) assert.match(section, /^1\. \S/m);
  });
}
