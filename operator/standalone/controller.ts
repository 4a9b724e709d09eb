/** Manifests -> observed -> plan -> files and status. A wrong change changes nothing but the status that says so (G5). */
import { join } from 'node:path';
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { PostroadObject } from '../../crds/validate-object.ts';
import type { Clock } from '../../relay/clock.ts';
import { ConfigError, parseConfig } from '../../relay/config.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import type { Bind } from '../mailrelay/desired/config.ts';
import { configFileOf, writeConfiguration } from './config-folder.ts';
import { writeIfChanged } from './files.ts';
import { createKeptKeys } from './keys.ts';
import { type Manifests, readManifests } from './manifests.ts';
import { observe } from './observe.ts';
import type { Options } from './options.ts';
import { type Plan, planOf, statusesOf } from './plan.ts';
import { openStatusFolder } from './status-folder.ts';

export interface Controller {
  readonly configFile: string;
  /** Reads the manifests and writes what follows from them. @throws RefusedError */
  apply(): Promise<Applied>;
  /** The relay says that it runs a revision; undefined once it runs no more. */
  noteRevision(revision: string | undefined): Promise<void>;
}

export interface Applied {
  readonly plan: Plan;
  readonly warnings: readonly string[];
  /** What clients may trust; undefined where the certificate was given. */
  readonly authorityFile: string | undefined;
  /** False when the relay runs by the same files as before. */
  readonly changed: boolean;
}

/** What the person who wrote the manifests can mend: each fault a line. */
export class RefusedError extends Error {
  override name = 'RefusedError';
  readonly code = 'POSTROAD_MANIFESTS_REFUSED';
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(faults.join('\n'));
    this.faults = faults;
  }
}

export async function createController(options: Options, clock: Clock): Promise<Controller> {
  const { dataDir } = options;
  const configDir = join(dataDir, 'config');
  const bind: Bind = {
    ...{ address: options.bindAddress, httpAddress: options.http.address, httpPort: options.http.port },
    // One owner, who says with --http who reaches it.
    captured: 'Everybody',
  };
  const keys = createKeptKeys(join(dataDir, 'keys'), () => clock.now());
  const statusFolder = await openStatusFolder(join(dataDir, 'status'));
  let served: { readonly plan: Plan; readonly objects: readonly PostroadObject[] } | undefined;
  let appliedRevision: string | undefined;
  let last: Promise<unknown> = Promise.resolve();

  /** One step at a time: what the relay says must not cross what is being written. */
  function inTurn<T>(step: () => Promise<T>): Promise<T> {
    const turn = last.then(step, step);
    last = turn;
    return turn;
  }

  async function readPlan(): Promise<{ manifests: Manifests; plan: Plan }> {
    const manifests = await readManifests(options.manifests, (kind, name) =>
      served?.objects.find(object => object.kind === kind && nameOf(object) === name),
    );
    const relay = onlyRelay(options.manifests, manifests);
    const observed = await observe({ manifests, relay, keys, bindAddress: options.bindAddress });
    return { manifests, plan: planOf({ observed, bind, configDir, revisionKey: await keys.revisionKey() }) };
  }

  async function writeStatus(plan: Plan): Promise<void> {
    const { previous } = statusFolder;
    await statusFolder.write(statusesOf({ plan, bind, appliedRevision, previous, nowMs: clock.now() }));
  }

  /** Says what kept it from being written: a status is only an observation, and no reason to serve nothing. */
  async function tryToWriteStatus(plan: Plan): Promise<string[]> {
    try {
      await writeStatus(plan);
      return [];
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return [`the status could not be written: ${error.message}`];
    }
  }

  async function apply(): Promise<Applied> {
    const { manifests, plan } = await readPlan();
    const { configuration, observed, blocked, incomplete } = plan;
    // At the start a policy that lacks a Secret is left out. Later it was in force, and dropping it would refuse its mail for good.
    const faults = served === undefined ? blocked : [...blocked, ...incomplete];
    if (configuration === undefined || faults.length > 0) {
      throw new RefusedError([...faults, ...(await tryToWriteStatus({ ...plan, configuration: undefined }))]);
    }
    requireValid(configuration.config);
    const authorityFile = observed.authority === undefined ? undefined : join(dataDir, 'ca.crt');
    if (authorityFile !== undefined) await writeIfChanged(authorityFile, observed.authority ?? '', 0o644);
    const changed = served?.plan.configuration?.config.revision !== configuration.config.revision;
    // The keys are on disk by now, and the relay is told last: it never signs with a key that a crash could take away.
    if (changed) await writeConfiguration(configDir, configuration);
    served = { plan, objects: manifests.objects };
    const warnings = [...manifests.warnings, ...(await tryToWriteStatus(plan))];
    return { plan, warnings, authorityFile, changed };
  }

  return {
    configFile: configFileOf(configDir),
    apply: () => inTurn(apply),
    noteRevision: revision =>
      inTurn(async () => {
        appliedRevision = revision;
        if (served !== undefined) await writeStatus(served.plan);
      }),
  };
}

function onlyRelay(folder: string, { objects, faults }: Manifests): MailRelay {
  const relays = objects.filter(object => object.kind === 'MailRelay');
  const [relay] = relays;
  if (faults.length > 0) throw new RefusedError(faults);
  if (relay !== undefined && relays.length === 1) return relay;
  const found = relays.length === 0 ? 'none' : relays.map(nameOf).join(', ');
  throw new RefusedError([`${folder}: must hold exactly one MailRelay without a cluster; found ${found}`]);
}

/** The schema is stricter than the relay's own check; should it ever not be, the relay must not be the one to find out. */
function requireValid(config: unknown): void {
  try {
    parseConfig(config);
  } catch (error) {
    throw error instanceof ConfigError ? new RefusedError(error.faults) : error;
  }
}
