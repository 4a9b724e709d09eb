/** What the tests need beside npm's packages: real peers and independent verifiers, each from Debian. */
import { access, rm, writeFile } from 'node:fs/promises';
import { hasForeignCrds } from '../apiserver/setup/foreign-crds.ts';
import { goAtHand } from '../apiserver/setup/go.ts';
import { findApiServerPrograms } from '../apiserver/setup/programs.ts';
import { mustRun, runProcess } from '../support/processes.ts';
import { cacheRoot } from './go-programs.ts';

export interface Requirement {
  readonly debianPackage: string;
  readonly purpose: string;
}

export const requirements: readonly Requirement[] = [
  { debianPackage: 'postfix', purpose: 'real peer: sends through us, receives from us; smtp-source' },
  { debianPackage: 'sasl2-bin', purpose: "the Postfix peer's user" },
  { debianPackage: 'libsasl2-modules', purpose: 'AUTH PLAIN and LOGIN of the Postfix peer, both ways' },
  { debianPackage: 'swaks', purpose: 'the client of the journeys' },
  { debianPackage: 'libnet-ssleay-perl', purpose: "swaks' TLS" },
  { debianPackage: 'openssl', purpose: 'TLS as a stranger speaks it' },
  { debianPackage: 'python3-dkim', purpose: 'verifies DKIM signatures' },
  { debianPackage: 'python3-nacl', purpose: 'Ed25519 for the verifier above' },
  { debianPackage: 'opendkim', purpose: 'verifies DKIM signatures, independently' },
  { debianPackage: 'opendkim-tools', purpose: "OpenDKIM's command line" },
  { debianPackage: 'prometheus', purpose: 'promtool, which reads and runs the alert rules' },
  { debianPackage: 'knot', purpose: 'authoritative DNS servers whose zones the tests edit' },
  {
    debianPackage: 'redis-server',
    purpose: 'the shared queue, alone, with Sentinels and as a Cluster; the tests start their own',
  },
  { debianPackage: 'redis-tools', purpose: 'redis-cli, which makes the Cluster' },
];

/** What a cluster on this machine needs besides: the parts of a node that Debian has, and what makes images. */
export const clusterRequirements: readonly Requirement[] = [
  { debianPackage: 'runc', purpose: 'starts containers' },
  { debianPackage: 'containernetworking-plugins', purpose: 'the network of pods' },
  { debianPackage: 'iptables', purpose: 'the addresses of Services' },
  { debianPackage: 'iproute2', purpose: 'the network of the node' },
  { debianPackage: 'ipset', purpose: 'the pods that a NetworkPolicy names' },
  { debianPackage: 'conntrack', purpose: 'forgets connections when the node is booted anew' },
  { debianPackage: 'buildah', purpose: 'makes images' },
  { debianPackage: 'busybox-static', purpose: 'the shell of the image that makes volumes' },
  { debianPackage: 'jq', purpose: "the documentation's commands" },
  { debianPackage: 'strace', purpose: 'makes a disk slow' },
  { debianPackage: 'prometheus-alertmanager', purpose: 'takes the alerts that fire in the cluster' },
  { debianPackage: 'debootstrap', purpose: "the base of the product's image, where no registry gives it" },
];

/** Where something must be built or brought from Go modules and no Go is new enough for it. */
const pip: Requirement = { debianPackage: 'python3-pip', purpose: 'brings Go, which builds kube-apiserver' };

export interface Wanted {
  /** Besides what all need. */
  readonly packages: readonly Requirement[];
  /** Whether what those need of Go modules is built. */
  readonly isBuilt: boolean;
}

async function wanted({ packages, isBuilt }: Wanted): Promise<readonly Requirement[]> {
  const isComplete = isBuilt && (await findApiServerPrograms()) !== undefined && (await hasForeignCrds());
  const needsGo = !isComplete && (await goAtHand({ cacheFolder: cacheRoot() })) === undefined;
  return [...requirements, ...packages, ...(needsGo ? [pip] : [])];
}

const aptTimeoutMs = 10 * 60_000;
/** apt and dpkg wait this long for another that holds their locks. */
const lockSeconds = 180;

/** Debian runs this before it starts a service; 101 forbids it. The tests start their own, on their own ports. */
const startPolicyFile = '/usr/sbin/policy-rc.d';

/** Installs what is missing where it may, else says what to run. Returns the packages that are still missing. */
export async function setUpPackages(
  say: (line: string) => void,
  more: Wanted = { packages: [], isBuilt: true },
): Promise<readonly string[]> {
  const all = await wanted(more);
  if (!(await exists('/usr/bin/dpkg-query'))) {
    const names = all.map(({ debianPackage }) => debianPackage);
    say(`set-up: no Debian here; tests that talk to real peers need what these packages hold: ${names.join(' ')}`);
    return names;
  }
  const missing = await missingPackages(all);
  if (missing.length === 0) {
    say(`set-up: all ${all.length} Debian packages are here`);
    return [];
  }
  for (const { debianPackage, purpose } of missing) say(`set-up: missing ${debianPackage} (${purpose})`);
  const names = missing.map(({ debianPackage }) => debianPackage);
  if (process.getuid?.() !== 0) {
    say(`set-up: run this, then try again: sudo apt-get install --no-install-recommends ${names.join(' ')}`);
    return names;
  }
  try {
    await install(names, say);
  } catch (error) {
    // The tests that need nothing of it can still say something.
    say(`set-up: ${error instanceof Error ? error.message : String(error)}`);
  }
  return (await missingPackages(all)).map(({ debianPackage }) => debianPackage);
}

async function missingPackages(all: readonly Requirement[]): Promise<readonly Requirement[]> {
  const names = all.map(({ debianPackage }) => debianPackage);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own placeholders.
  const format = '${Package} ${db:Status-Status}\\n';
  // dpkg-query fails when it does not know one of them, and still prints the others.
  const { stdout } = await runProcess('dpkg-query', ['-W', '-f', format, ...names]);
  const installed = new Set(
    stdout
      .split('\n')
      .filter(line => line.endsWith(' installed'))
      .map(line => line.split(' ')[0]),
  );
  return all.filter(({ debianPackage }) => !installed.has(debianPackage));
}

async function install(names: readonly string[], say: (line: string) => void): Promise<void> {
  const lock = ['-o', `DPkg::Lock::Timeout=${lockSeconds}`, '-o', 'Acquire::Retries=3'];
  const options = { timeoutMs: aptTimeoutMs, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  const forbade = await forbidServices();
  try {
    say('set-up: apt-get update');
    await mustRun('apt-get', [...lock, '-qq', 'update'], options);
    say(`set-up: apt-get install ${names.join(' ')}`);
    await mustRun('apt-get', [...lock, '-qq', '-y', 'install', '--no-install-recommends', ...names], options);
  } finally {
    if (forbade) await rm(startPolicyFile, { force: true });
  }
}

/** Leaves a policy that is already there alone. */
async function forbidServices(): Promise<boolean> {
  if (await exists(startPolicyFile)) return false;
  await writeFile(startPolicyFile, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  return true;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
