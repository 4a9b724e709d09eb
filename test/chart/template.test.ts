import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { chartValues } from '../../charts/values-table.ts';
import { managedKinds, persistentVolumeClaims, pods } from '../../operator/cluster/kinds.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import { parseOptions } from '../../operator/options.ts';
import { type ApiWorld, namespaces, never, startWorld } from '../apiserver/api-world.ts';
import { installForeignCrds, installOwnCrds } from '../apiserver/install-crds.ts';
import { operatorNodeFlags } from '../support/operator-process.ts';
import { runProcess } from '../support/processes.ts';
import { programsMissing } from '../support/programs.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { chartFolder, fullname, helm, mustHelm, only, releaseNamespace, template, type Values } from './helm.ts';
import { writeSchemas } from './schemas.ts';
import { findChartPrograms } from './setup/programs.ts';
import { valuesCases } from './values-cases.ts';

let world: ApiWorld;
let schemas: Awaited<ReturnType<typeof temporaryFolder>>;
let schemaLocation: string;

before(async () => {
  // A pod alone is refused until its service account is there, which a dry run never makes.
  world = await startWorld({ flags: ['--disable-admission-plugins=ServiceAccount'] });
  await installOwnCrds(world);
  await installForeignCrds(world);
  for (const name of [releaseNamespace, 'mail-staging']) {
    await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
  schemas = await temporaryFolder();
  schemaLocation = await writeSchemas(world.client, schemas.path);
});
after(async () => {
  await world[Symbol.asyncDispose]();
  await schemas[Symbol.asyncDispose]();
});

async function kubeconform(
  objects: readonly KubeObject[],
): Promise<{ readonly valid: number; readonly faults: string[] }> {
  const programs = await findChartPrograms();
  assert.ok(programs !== undefined);
  const input = objects.map(object => JSON.stringify(object)).join('\n---\n');
  const { stdout, stderr } = await runProcess(
    programs.kubeconform,
    ['-strict', '-summary', '-output', 'json', '-schema-location', schemaLocation],
    { input },
  );
  assert.notEqual(stdout, '', stderr);
  const { resources = [], summary } = JSON.parse(stdout);
  return { valid: summary.valid, faults: resources.map((fault: object) => JSON.stringify(fault)) };
}

/** The server's own word: every field known, every rule kept, nothing stored. */
async function dryRun(object: KubeObject): Promise<void> {
  const [group = '', version = group] = object.apiVersion.split('/');
  const root = group === version ? `/api/${version}` : `/apis/${object.apiVersion}`;
  const plural = `${object.kind.toLowerCase().replace(/y$/, 'ie')}s`;
  const { namespace } = object.metadata;
  const place = namespace === undefined ? plural : `namespaces/${namespace}/${plural}`;
  await world.client.request({
    ...{ method: 'PATCH', path: `${root}/${place}/${object.metadata.name}`, body: object, signal: never },
    query: { dryRun: 'All', fieldValidation: 'Strict', fieldManager: 'test', force: true },
    contentType: 'application/apply-patch+yaml',
  });
}

interface Container {
  readonly args?: string[];
  readonly command: string[];
  readonly securityContext: object;
}
interface Role extends KubeObject {
  readonly rules: readonly { readonly apiGroups: string[]; readonly resources: string[]; readonly verbs: string[] }[];
}
interface PodSpec {
  readonly containers: Container[];
  readonly securityContext: object;
}

const podsOf = (objects: readonly KubeObject[]): PodSpec[] =>
  objects.flatMap(object => {
    const { spec } = object as unknown as { spec: PodSpec & { template?: { spec: PodSpec } } };
    return object.kind === 'Pod'
      ? [spec]
      : ['Deployment', 'Job'].includes(object.kind) && spec.template
        ? [spec.template.spec]
        : [];
  });

function assertOperatorTakesItsFlags(objects: readonly KubeObject[]): void {
  const [container] = podsOf([only(objects, 'Deployment')])[0]?.containers ?? [];
  const [node, ...command] = container?.command ?? [];
  const program = command.pop();
  assert.deepEqual([node, program], ['node', '/app/operator/main.ts']);
  assert.deepEqual(command, operatorNodeFlags, 'tests and bench run it as the chart does');
  assert.equal(parseOptions(container?.args ?? [], undefined).namespace, releaseNamespace);
}

/** The restricted Pod Security Standard, whoever the user is. */
function assertRestricted(objects: readonly KubeObject[]): void {
  const ofPod = { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };
  const ofContainer = {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  };
  for (const { securityContext, containers } of podsOf(objects)) {
    assert.partialDeepStrictEqual(securityContext, ofPod);
    for (const container of containers) assert.deepEqual(container.securityContext, ofContainer);
  }
}

test('helm lint finds nothing, strictly', async () => {
  const { code, stdout, stderr } = await helm(['lint', '--strict', chartFolder]);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
});

test('every value of the chart is in a case', () => {
  const set = (values: Values, path: string): boolean => {
    const [first = '', ...rest] = path.split('.');
    const below = values[first];
    if (rest.length === 0) return first in values;
    return typeof below === 'object' && below !== null && set(below as Values, rest.join('.'));
  };
  const all = chartValues(readFileSync(join(chartFolder, 'values.yaml'), 'utf8'));
  const unset = all.filter(({ path }) => !valuesCases.some(({ values }) => set(values, path)));
  assert.deepEqual(
    unset.map(({ path }) => path),
    [],
  );
});

/** Byte for byte what a case before had: both would say the same again, and the definitions take a second each time. */
const foundRight = new Set<string>();

for (const { name, values, shows = [], lacks = [], kinds = {} } of valuesCases) {
  test(`${name}: right by kubeconform, API server and operator, and it shows`, async () => {
    const objects = await template(values);
    const text = JSON.stringify(objects);
    for (const pattern of shows) assert.match(text, pattern);
    for (const pattern of lacks) assert.doesNotMatch(text, pattern);
    for (const [kind, count] of Object.entries(kinds)) {
      assert.equal(objects.filter(object => object.kind === kind).length, count, kind);
    }
    const unknown = objects.filter(object => !foundRight.has(JSON.stringify(object)));
    const { valid, faults } = await kubeconform(unknown);
    assert.deepEqual(faults, []);
    assert.equal(valid, unknown.length);
    await Promise.all(unknown.map(dryRun));
    for (const object of unknown) foundRight.add(JSON.stringify(object));
    assertOperatorTakesItsFlags(objects);
    assertRestricted(objects);
  });
}

test('monitors and rules are made where the cluster knows them', async () => {
  const kinds = ['ServiceMonitor', 'PrometheusRule'];
  const flags = kinds.flatMap(kind => ['--api-versions', `monitoring.coreos.com/v1/${kind}`]);
  const objects = await template({}, flags);
  for (const kind of kinds) assert.equal(only(objects, kind).metadata.name, fullname);
});

test('promtool finds the rules right as helm renders them', { skip: programsMissing('promtool') }, async () => {
  const objects = await template({ monitoring: { rules: 'Enabled' } });
  const { spec } = only<KubeObject & { spec: object }>(objects, 'PrometheusRule');
  await using folder = await temporaryFolder();
  await writeFile(join(folder.path, 'rules.yaml'), stringify(spec));
  const { code, stdout, stderr } = await runProcess('promtool', ['check', 'rules', join(folder.path, 'rules.yaml')]);
  assert.equal(code, 0, `${stdout}\n${stderr}`);
});

test('no role says "all", and none but those of relays touches Secrets or workloads', async () => {
  const objects = await template();
  const roles = objects.filter(({ kind }) => kind.endsWith('Role')) as Role[];
  for (const { metadata, rules } of roles) {
    const words = rules.flatMap(({ apiGroups, resources, verbs }) => [...apiGroups, ...resources, ...verbs]);
    assert.ok(!words.includes('*'), metadata.name);
    const touches = words.includes('secrets') || words.includes('deployments');
    assert.equal(touches, metadata.name.endsWith('-relays'), metadata.name);
  }
});

test('the role of relays has a rule for each kind that the operator manages, and for no other', async () => {
  const { rules } = only<Role>(await template(), 'ClusterRole', `${releaseNamespace}-${fullname}-relays`);
  const inRules = rules.flatMap(({ apiGroups, resources }) => resources.map(resource => `${apiGroups[0]}/${resource}`));
  const managed = [...managedKinds, pods, persistentVolumeClaims].map(({ apiVersion, plural }) => {
    const [group, version] = apiVersion.split('/');
    return `${version === undefined ? '' : group}/${plural}`;
  });
  assert.deepEqual(inRules.toSorted(), managed.toSorted());
});

test('the definitions are those of crds/, but for their labels and annotations', async () => {
  for (const plural of ['mailrelays', 'domainpolicies']) {
    const name = `${plural}.postroad.dev`;
    const own = parse(readFileSync(new URL(`../../crds/${name}.yaml`, import.meta.url), 'utf8'));
    const rendered = only<KubeObject & { spec: unknown }>(await template(), 'CustomResourceDefinition', name);
    assert.deepEqual(rendered.spec, own.spec);
  }
});

test('control: kubeconform and the API server see a field that is not there, and a wrong type', async () => {
  const objects = await template();
  const deployment = only<KubeObject & { spec: object }>(objects, 'Deployment');
  for (const change of [{ replica: 1 }, { replicas: 'two' }]) {
    const wrong = { ...deployment, spec: { ...deployment.spec, ...change } };
    assert.equal((await kubeconform([wrong])).faults.length, 1);
    await assert.rejects(dryRun(wrong));
  }
  assert.ok((await mustHelm(['version'])).includes('v4.'));
});
