import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OptionsError, parseOptions, usage } from '../../operator/options.ts';

const least = ['--image', 'postroad:1'];

function faultsOf(args: readonly string[], podNamespace?: string): readonly string[] {
  try {
    parseOptions(args, podNamespace);
  } catch (error) {
    assert.ok(error instanceof OptionsError);
    return error.faults;
  }
  return [];
}

test('an image is enough in a pod; all else has its default', () => {
  assert.deepEqual(parseOptions(least, 'postroad'), {
    kubeconfig: undefined,
    context: undefined,
    namespace: 'postroad',
    relayNamespaces: undefined,
    lease: {
      name: 'postroad-operator',
      election: 'Enabled',
      durationMs: 15_000,
      renewDeadlineMs: 10_000,
      retryMs: 2000,
    },
    http: { address: undefined, port: 8080 },
    workers: 8,
    logLevel: 'info',
    nameservers: [],
    dnsTargets: 'Routable',
    desired: {
      image: 'postroad:1',
      clusterDomain: 'cluster.local',
      logLevel: 'info',
      podUser: 10_001,
      operator: { namespace: 'postroad', podLabels: {} },
      monitoringNamespaces: [],
      monitoringLabels: {},
      runbookUrl: 'https://github.com/postroad/postroad/blob/main/docs/runbooks/alerts.md',
    },
  });
});

test('every option is taken, as --name value and as --name=value', () => {
  const options = parseOptions(
    [
      ...['--kubeconfig', '/k', '--context', 'c', '--namespace', 'ns', '--relay-namespaces', 'a,b, a'],
      ...['--image', 'i', '--cluster-domain', 'k8s.local', '--log-level=debug', '--relay-log-level=warn'],
      ...['--pod-user=', '--pod-labels', 'app.kubernetes.io/name=postroad,x=', '--monitoring-namespaces=monitoring'],
      ...['--monitoring-labels', 'release=prometheus', '--runbook-url', 'https://example.com/runbook'],
      ...['--nameservers', '10.0.0.1:53,[::1]:53,dns.kube-system:53', '--http', '[::1]:9090', '--workers', '4'],
      ...['--leader-election', 'Disabled', '--lease-name', 'l', '--lease-duration-seconds', '60'],
      ...['--renew-deadline-seconds', '40', '--retry-seconds', '5'],
    ],
    'other',
  );
  assert.deepEqual(options.relayNamespaces, ['a', 'b']);
  assert.deepEqual(options.lease, {
    name: 'l',
    election: 'Disabled',
    durationMs: 60_000,
    renewDeadlineMs: 40_000,
    retryMs: 5000,
  });
  assert.deepEqual(options.http, { address: '::1', port: 9090 });
  assert.deepEqual(options.nameservers, ['10.0.0.1:53', '[::1]:53', 'dns.kube-system:53']);
  assert.equal(options.desired.podUser, undefined);
  assert.deepEqual(options.desired.operator, {
    namespace: 'ns',
    podLabels: { 'app.kubernetes.io/name': 'postroad', x: '' },
  });
  assert.equal(options.logLevel, 'debug');
  assert.equal(options.desired.logLevel, 'warn');
});

test('all faults are told at once', () => {
  assert.deepEqual(
    faultsOf([
      ...['stray', '--unknown', 'x', '--workers', '0', '--http', 'example.com:80', '--log-level', 'loud'],
      ...['--relay-namespaces', 'Mail', '--pod-labels', 'novalue', '--leader-election', 'On', '--runbook-url', 'page'],
      ...['--renew-deadline-seconds', '20', '--retry-seconds', '11', '--pod-user', 'root', '--dns-targets', 'All'],
    ]),
    [
      'stray is no option',
      '--unknown is no option',
      'x is no option',
      '--image must be given',
      '--namespace must be given where $POD_NAMESPACE is not',
      '--relay-namespaces must be a list of names of namespaces, not Mail',
      '--renew-deadline-seconds must be less than --lease-duration-seconds',
      '--retry-seconds must be at most half of --renew-deadline-seconds',
      '--leader-election must be Enabled or Disabled, not On',
      '--http must be an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or :8080, not example.com:80',
      '--workers must be a whole number from 1 to 256, not 0',
      '--log-level must be one of trace, debug, info, warn, error, fatal, not loud',
      '--dns-targets must be Routable or Any, not All',
      '--pod-user must be a whole number from 1 to 2147483647, not root',
      '--pod-labels must be a list of key=value, not novalue',
      '--runbook-url must be a URL of a page, not page',
    ],
  );
  assert.deepEqual(faultsOf([...least, '--workers'], 'mail'), ['--workers must have a value']);
});

test('the help says every option', () => {
  for (const name of ['kubeconfig', 'relay-namespaces', 'image', 'lease-duration-seconds', 'nameservers', 'workers'])
    assert.match(usage, new RegExp(`^  --${name} [A-Z:]+ +\\S`, 'm'));
});
