/** Keeps the state true to its files: watches their folders, reads again after a change, and keeps the last good one (G5). */
import { type FSWatcher, watch } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { ConfigError } from './config.ts';
import type { Log } from './log.ts';
import type { Metrics } from './metrics.ts';
import { createStateLoader, type RelayState, watchedFolders } from './state.ts';

export interface Reloader {
  state(): RelayState;
  /** Reads again now. Never rejects: a fault is logged, counted, and changes nothing. */
  reload(): Promise<void>;
  close(): void;
}

export interface ReloaderOptions {
  readonly configFile: string;
  readonly log: Log;
  readonly metrics: Metrics;
  /** After each change. */
  readonly onChange: (state: RelayState) => void;
}

/** Files of one change arrive together; one read serves them all. */
const settleMs = 100;
/** For folders whose changes the kernel does not report (some network mounts), and for what a rejected read left behind. */
const recheckMs = 30_000;

/** @throws what the loader throws: a relay does not start on a wrong configuration. */
export async function createReloader({ configFile, log, metrics, onChange }: ReloaderOptions): Promise<Reloader> {
  const load = createStateLoader(configFile);
  let current = await load();
  let watchers = watchFolders(current);
  let running: Promise<void> | undefined;
  let again = false;
  let settling: NodeJS.Timeout | undefined;
  noteRevision(metrics, current);
  const recheck = setInterval(() => void reload(), recheckMs).unref();

  function watchFolders(state: RelayState): FSWatcher[] {
    return watchedFolders(configFile, state).map(folder => {
      const watcher = watch(folder, { persistent: false }, () => {
        clearTimeout(settling);
        settling = setTimeout(() => void reload(), settleMs).unref();
      });
      watcher.on('error', error => log.warn({ folder, error: error.message }, 'folder can no longer be watched'));
      return watcher;
    });
  }

  async function readOnce(): Promise<void> {
    try {
      const next = await load();
      if (isSame(next, current)) return;
      const added = watchFolders(next);
      for (const watcher of watchers) watcher.close();
      watchers = added;
      current = next;
      noteRevision(metrics, current);
      metrics.postroad_config_reloads_total.inc({ result: 'Applied' });
      log.info({ revision: current.config.revision }, 'configuration applied');
      onChange(current);
    } catch (error) {
      metrics.postroad_config_reloads_total.inc({ result: 'Rejected' });
      const faults =
        error instanceof ConfigError ? error.faults : [error instanceof Error ? error.message : String(error)];
      log.error({ faults, revision: current.config.revision }, 'configuration rejected; the last good one stays');
    }
  }

  async function readUntilSettled(): Promise<void> {
    do {
      again = false;
      await readOnce();
    } while (again);
    running = undefined;
  }

  function reload(): Promise<void> {
    again = running !== undefined;
    running ??= readUntilSettled();
    return running;
  }

  return {
    state: () => current,
    reload,
    close() {
      clearInterval(recheck);
      clearTimeout(settling);
      for (const watcher of watchers) watcher.close();
    },
  };
}

/** Keys too are compared by what they are; the policies follow from the configuration. */
function isSame(one: RelayState, other: RelayState): boolean {
  return isDeepStrictEqual(one.config, other.config) && isDeepStrictEqual(one.secrets, other.secrets);
}

function noteRevision(metrics: Metrics, { config, secrets }: RelayState): void {
  metrics.postroad_config_revision_info.reset();
  metrics.postroad_config_revision_info.set({ revision: config.revision }, 1);
  metrics.postroad_tls_certificate_expiry_timestamp_seconds.set((secrets.tls?.notAfterMs ?? 0) / 1000);
}
