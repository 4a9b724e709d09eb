/** The command line of the operator. */
import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { defaultLeaseTiming, type LeaseTiming } from './kube/lease.ts';
import type { DesiredOptions } from './mailrelay/desired/input.ts';

export interface Options {
  /** Undefined: as a pod of the cluster. */
  readonly kubeconfig: string | undefined;
  readonly context: string | undefined;
  /** Where the lease is. */
  readonly namespace: string;
  /** Undefined: everywhere. */
  readonly relayNamespaces: readonly string[] | undefined;
  readonly lease: LeaseTiming & { readonly name: string; readonly election: 'Enabled' | 'Disabled' };
  /** Without an address: on every one there is. */
  readonly http: { readonly address: string | undefined; readonly port: number };
  /** Of each of both queues. */
  readonly workers: number;
  readonly logLevel: string;
  readonly nameservers: readonly string[];
  readonly dnsTargets: 'Routable' | 'Any';
  readonly desired: DesiredOptions;
}

export interface Flag {
  readonly value: string;
  /** Undefined: none, and `required` says whether one must be given. */
  readonly default?: string;
  readonly required?: true;
  readonly help: string;
}

const seconds = (ms: number): string => String(ms / 1000);

export const flags = {
  kubeconfig: { value: 'FILE', help: 'how to reach the API server; without it, as a pod of the cluster' },
  context: { value: 'NAME', help: "of the kubeconfig; without it, the file's own choice" },
  namespace: { value: 'NAME', help: "the operator's own: there is the lease; without it, $POD_NAMESPACE" },
  'relay-namespaces': { value: 'LIST', help: 'MailRelays are served in these namespaces alone; without it, in all' },
  image: { value: 'NAME', required: true, help: 'of the relay pods, where a MailRelay names no other' },
  'cluster-domain': { value: 'DOMAIN', default: 'cluster.local', help: 'what names of Services end with' },
  'log-level': { value: 'LEVEL', default: 'info', help: 'trace, debug, info, warn, error or fatal' },
  'relay-log-level': { value: 'LEVEL', default: 'info', help: 'of the relay pods' },
  'pod-user': { value: 'ID', default: '10001', help: 'user and group of relay pods; "" where the platform gives them' },
  'pod-labels': {
    value: 'LABELS',
    default: '',
    help: "of the operator's own pods: relays let these ask what they run",
  },
  'monitoring-namespaces': { value: 'LIST', default: '', help: 'whose pods may scrape metrics of relays' },
  'monitoring-labels': { value: 'LABELS', default: '', help: 'by which a Prometheus finds PodMonitors and rules' },
  'runbook-url': {
    value: 'URL',
    default: 'https://github.com/postroad/postroad/blob/main/docs/runbooks/alerts.md',
    help: 'page with the runbook; each alert is a section of it',
  },
  nameservers: { value: 'LIST', default: '', help: 'host:port of who is asked for names; "" for the system\'s' },
  'dns-targets': {
    value: 'MODE',
    default: 'Routable',
    help: 'Any: name servers of domains are asked also at loopback, link-local and multicast addresses, which no domain needs',
  },
  http: { value: 'HOST:PORT', default: ':8080', help: 'probes and metrics; without HOST, on every address' },
  workers: { value: 'N', default: '8', help: 'objects of a kind that are worked on at a time' },
  'leader-election': { value: 'MODE', default: 'Enabled', help: 'Disabled: only where no second operator can be' },
  'lease-name': { value: 'NAME', default: 'postroad-operator', help: 'the same for all replicas' },
  'lease-duration-seconds': {
    value: 'N',
    default: seconds(defaultLeaseTiming.durationMs),
    help: 'nobody takes over sooner after the last renewal',
  },
  'renew-deadline-seconds': {
    value: 'N',
    default: seconds(defaultLeaseTiming.renewDeadlineMs),
    help: 'a leader that could not renew for so long stops',
  },
  'retry-seconds': { value: 'N', default: seconds(defaultLeaseTiming.retryMs), help: 'between attempts' },
} as const satisfies Readonly<Record<string, Flag>>;
type FlagName = keyof typeof flags;

export const usage = [
  'usage: node operator/main.ts --image NAME [options]',
  ...Object.entries<Flag>(flags).map(([name, flag]) => {
    const { value, help, default: standard } = flag;
    return `  ${`--${name} ${value}`.padEnd(34)}${help}${standard === undefined || standard === '' ? '' : ` (${standard})`}`;
  }),
  '  LIST is separated by commas, LABELS is a LIST of key=value.',
].join('\n');

export class OptionsError extends Error {
  override readonly name = 'OptionsError';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join('\n'));
    this.faults = faults;
  }
}

/** @throws OptionsError with every fault. `podNamespace`: where this process runs, when it is known. */
export function parseOptions(args: readonly string[], podNamespace: string | undefined): Options {
  const faults: string[] = [];
  const given = readArguments(args, faults);
  const text = (name: FlagName): string | undefined => given[name] ?? (flags[name] as Flag).default;
  const reader: Reader = {
    faults,
    optional: name => (text(name) === '' ? undefined : text(name)),
    text: name => text(name) ?? '',
  };
  for (const [name, flag] of Object.entries<Flag>(flags)) {
    if (flag.required && reader.text(name as FlagName) === '') faults.push(`--${name} must be given`);
  }
  const options = optionsFrom(reader, podNamespace);
  if (faults.length > 0) throw new OptionsError(faults);
  return options;
}

interface Reader {
  readonly faults: string[];
  optional(name: FlagName): string | undefined;
  text(name: FlagName): string;
}

function readArguments(args: readonly string[], faults: string[]): Readonly<Record<string, string | undefined>> {
  const options = Object.fromEntries(Object.keys(flags).map(name => [name, { type: 'string' as const }]));
  const { tokens } = parseArgs({ args: [...args], options, strict: false, tokens: true });
  const given: Record<string, string> = {};
  for (const token of tokens) {
    if (token.kind === 'positional') faults.push(`${token.value} is no option`);
    if (token.kind !== 'option') continue;
    if (!Object.hasOwn(flags, token.name)) faults.push(`${token.rawName} is no option`);
    else if (token.value === undefined) faults.push(`${token.rawName} must have a value`);
    else given[token.name] = token.value;
  }
  return given;
}

function optionsFrom(reader: Reader, podNamespace: string | undefined): Options {
  const namespace = reader.optional('namespace') ?? podNamespace ?? '';
  if (namespace === '') reader.faults.push('--namespace must be given where $POD_NAMESPACE is not');
  const relayNamespaces = listOf(reader, 'relay-namespaces', namespaceName);
  const podUser = reader.optional('pod-user');
  return {
    kubeconfig: reader.optional('kubeconfig'),
    context: reader.optional('context'),
    namespace,
    relayNamespaces: relayNamespaces.length === 0 ? undefined : [...new Set(relayNamespaces)],
    lease: leaseOf(reader),
    http: addressOf(reader),
    workers: numberOf(reader, 'workers', { least: 1, most: 256 }),
    logLevel: levelOf(reader, 'log-level'),
    nameservers: listOf(reader, 'nameservers', hostPort),
    dnsTargets: modeOf(reader, 'dns-targets', ['Routable', 'Any']),
    desired: {
      image: reader.text('image'),
      clusterDomain: reader.text('cluster-domain'),
      logLevel: levelOf(reader, 'relay-log-level'),
      podUser: podUser === undefined ? undefined : numberOf(reader, 'pod-user', { least: 1, most: 2 ** 31 - 1 }),
      operator: { namespace, podLabels: labelsOf(reader, 'pod-labels') },
      monitoringNamespaces: listOf(reader, 'monitoring-namespaces', namespaceName),
      monitoringLabels: labelsOf(reader, 'monitoring-labels'),
      runbookUrl: urlOf(reader, 'runbook-url'),
    },
  };
}

function leaseOf(reader: Reader): Options['lease'] {
  const range = { least: 1, most: 3600 };
  const [durationMs = 0, renewDeadlineMs = 0, retryMs = 0] = (
    ['lease-duration-seconds', 'renew-deadline-seconds', 'retry-seconds'] as const
  ).map(name => numberOf(reader, name, range) * 1000);
  if (renewDeadlineMs >= durationMs)
    reader.faults.push('--renew-deadline-seconds must be less than --lease-duration-seconds');
  if (retryMs * 2 > renewDeadlineMs)
    reader.faults.push('--retry-seconds must be at most half of --renew-deadline-seconds');
  return {
    name: reader.text('lease-name'),
    election: modeOf(reader, 'leader-election', ['Enabled', 'Disabled']),
    ...{ durationMs, renewDeadlineMs, retryMs },
  };
}

function modeOf<Mode extends string>({ text, faults }: Reader, name: FlagName, modes: readonly [Mode, Mode]): Mode {
  const mode = modes.find(one => one === text(name));
  if (mode === undefined) faults.push(`--${name} must be ${modes.join(' or ')}, not ${text(name)}`);
  return mode ?? modes[0];
}

function numberOf(
  { text, faults }: Reader,
  name: FlagName,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  const given = text(name);
  const value = /^\d{1,10}$/.test(given) ? Number(given) : Number.NaN;
  if (value >= least && value <= most) return value;
  faults.push(`--${name} must be a whole number from ${least} to ${most}, not ${given}`);
  return least;
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'];

function levelOf({ text, faults }: Reader, name: FlagName): string {
  const level = text(name);
  if (!levels.includes(level)) faults.push(`--${name} must be one of ${levels.join(', ')}, not ${level}`);
  return level;
}

function urlOf({ text, faults }: Reader, name: FlagName): string {
  const url = text(name);
  if (!/^https?:\/\/./.test(url) || !URL.canParse(url)) faults.push(`--${name} must be a URL of a page, not ${url}`);
  return url;
}

interface Shape {
  readonly regex: RegExp;
  readonly means: string;
}

const namespaceName: Shape = { regex: /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, means: 'names of namespaces' };
const hostPort: Shape = { regex: /^([-.a-z0-9]+|\[[0-9a-f:.]+\]):[1-9][0-9]{0,4}$/, means: 'host:port' };
const labelPattern = /^([-./_a-zA-Z0-9]{1,317})=([-._a-zA-Z0-9]{0,63})$/;

function listOf({ text, faults }: Reader, name: FlagName, { regex, means }: Shape): string[] {
  const parts = partsOf(text(name));
  for (const part of parts) if (!regex.test(part)) faults.push(`--${name} must be a list of ${means}, not ${part}`);
  return parts;
}

function labelsOf({ text, faults }: Reader, name: FlagName): Readonly<Record<string, string>> {
  const pairs = partsOf(text(name)).flatMap(part => {
    const [, key, value] = labelPattern.exec(part) ?? [];
    if (key !== undefined && value !== undefined) return [[key, value] as const];
    faults.push(`--${name} must be a list of key=value, not ${part}`);
    return [];
  });
  return Object.fromEntries(pairs);
}

function partsOf(text: string): string[] {
  return text
    .split(',')
    .map(part => part.trim())
    .filter(part => part !== '');
}

function addressOf({ text, faults }: Reader): Options['http'] {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:]*)):([0-9]{1,5})$/.exec(text('http')) ?? [];
  const host = bracketed ?? plain;
  const address = host === 'localhost' ? '127.0.0.1' : host;
  const port = Number(digits);
  if (address === undefined || (address !== '' && isIP(address) === 0) || port > 65_535)
    faults.push(
      `--http must be an IP address and a port, such as 127.0.0.1:8080, [::1]:8080 or :8080, not ${text('http')}`,
    );
  return { address: address === '' ? undefined : address, port };
}
