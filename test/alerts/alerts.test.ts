import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { stringify } from 'yaml';
import { type RunResult, runProcess } from '../support/processes.ts';
import { programsMissing } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { type Case, operatorCases, relayCases } from './cases.ts';
import { operatorRules, podsOf, type Rule, relayRules } from './rules.ts';

const skip = programsMissing('promtool');

interface Suite {
  readonly of: keyof typeof podsOf;
  readonly rules: readonly Rule[];
  readonly cases: Readonly<Record<string, Case>>;
}

const suites: readonly Suite[] = [
  { of: 'relay', rules: relayRules(), cases: relayCases },
  { of: 'operator', rules: operatorRules(), cases: operatorCases },
];

/** `metric{labels}@0` as promtool wants it. */
function seriesOf(of: Suite['of'], series: Case['fires']): { series: string; values: string }[] {
  return Object.entries(series).map(([name, values]) => {
    const [, metric, labels = '', pod] = /^([a-z_]+)(?:\{(.*)\})?@([01])$/.exec(name) ?? [];
    assert.ok(metric !== undefined, name);
    const matchers = [`namespace="${podsOf[of].namespace}"`, `pod="${podsOf[of].names[Number(pod)]}"`, labels];
    return { series: `${metric}{${matchers.filter(Boolean).join(',')}}`, values };
  });
}

function expectation({ alert, labels, annotations }: Rule, { at, labels: more }: Case, fires: boolean): unknown {
  const alerts = fires ? [{ exp_labels: { ...labels, ...more }, exp_annotations: annotations }] : [];
  return { eval_time: at, alertname: alert, exp_alerts: alerts };
}

async function promtool(rules: readonly Rule[], args: readonly string[], tests?: unknown): Promise<RunResult> {
  await using folder = await temporaryFolder();
  const files = { rules: join(folder.path, 'rules.yaml'), tests: join(folder.path, 'tests.yaml') };
  await writeFile(files.rules, stringify({ groups: [{ name: 'postroad', rules }] }));
  await writeFile(files.tests, stringify({ rule_files: [files.rules], evaluation_interval: '1m', tests }));
  return await runProcess('promtool', [...args, tests === undefined ? files.rules : files.tests]);
}

/** Whether promtool finds the alert as it is expected. */
async function asExpected(suite: Suite, name: string, input: Case['fires'], fires: boolean): Promise<string | true> {
  const rule = suite.rules.find(({ alert }) => alert === name);
  const alertCase = suite.cases[name];
  if (rule === undefined || alertCase === undefined) throw new Error(`no rule or case for ${name}`);
  const expected = [expectation(rule, alertCase, fires)];
  const tests = [{ interval: '1m', input_series: seriesOf(suite.of, input), alert_rule_test: expected }];
  const { code, stdout, stderr } = await promtool([rule], ['test', 'rules'], tests);
  return code === 0 ? true : `${stdout}\n${stderr}`;
}

for (const suite of suites) {
  test(`every alert of the ${suite.of} has a firing and a quiet case, and every case its alert`, () => {
    assert.deepEqual(Object.keys(suite.cases).toSorted(), suite.rules.map(({ alert }) => alert).toSorted());
  });

  test(`promtool finds the rules of the ${suite.of} right`, { skip }, async () => {
    const { code, stdout, stderr } = await promtool(suite.rules, ['check', 'rules']);
    assert.equal(code, 0, `${stdout}\n${stderr}`);
    assert.match(stdout, new RegExp(`SUCCESS: ${suite.rules.length} rules found`));
  });

  for (const [name, { fires, quiet }] of Object.entries(suite.cases)) {
    test(`${name} fires when it should, and not when all is nearly the same`, { skip }, async () => {
      assert.equal(await asExpected(suite, name, fires, true), true);
      assert.equal(await asExpected(suite, name, quiet, false), true);
    });
  }
}

test('control: promtool sees an alert that does not fire, and one that does', { skip }, async () => {
  const [suite] = suites;
  assert.ok(suite !== undefined);
  const { fires, quiet } = relayCases['PostroadRelayDown'] ?? assert.fail();
  assert.match(String(await asExpected(suite, 'PostroadRelayDown', quiet, true)), /PostroadRelayDown/);
  assert.match(String(await asExpected(suite, 'PostroadRelayDown', fires, false)), /PostroadRelayDown/);
});
