/**
 * Are user and password right? Without telling, by the time it takes, whether the user exists: a name that is none, or has a plain
 * password, costs what a hash in the store costs, always the same for one name.
 */
import { createHmac, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { Log } from '../log.ts';

export type Verdict = 'Right' | 'Wrong' | 'Unavailable';

/** Password or hash by user name. */
export type Users = ReadonlyMap<string, string>;

export interface Credentials {
  readonly user: string;
  readonly password: string;
}

export interface Authenticator {
  verify(users: Users, credentials: Credentials): Promise<Verdict>;
}

interface ScryptHash {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallelization: number;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

/** Signing, DNS and files share the thread pool of four; password guessers get at most half of it. */
const maxRunning = 2;
const maxQueued = 100;
/** What one hash may cost: 128 * N * r bytes (RFC 7914 s2). */
const maxMemoryBytes = 256 * 1024 * 1024;
/** Logins that were right, so that a client with one message a connection is not hashed each time. */
const maxRemembered = 1000;

export function createAuthenticator(log: Log): Authenticator {
  const key = randomBytes(32);
  const remembered = new Set<string>();
  const queued: (() => void)[] = [];
  const costs = new WeakMap<Users, readonly ScryptHash[]>();
  let running = 0;

  /** Holds for one stored value only: a changed password is another key. */
  function memoryKey({ user, password }: Credentials, stored: string): string {
    return createHmac('sha256', key)
      .update(JSON.stringify([user, password, stored]))
      .digest('base64');
  }

  function remember(entry: string): void {
    const oldest = remembered.size >= maxRemembered ? remembered.values().next().value : undefined;
    if (oldest !== undefined) remembered.delete(oldest);
    remembered.add(entry);
  }

  async function hashInTurn(password: string, parameters: ScryptHash): Promise<Buffer> {
    if (running < maxRunning) running++;
    else await new Promise<void>(resolve => queued.push(resolve));
    try {
      return await hash(password, parameters);
    } finally {
      // The turn is handed over, so that no newcomer takes it in between.
      const next = queued.shift();
      if (next === undefined) running--;
      else next();
    }
  }

  /** Undefined where no password is hashed. Drawn by the name: were it the dearest for all, a cheaper one would tell that the user exists. */
  function pretendedHash(users: Users, user: string): ScryptHash | undefined {
    const known = costs.get(users) ?? costsOf(users);
    costs.set(users, known);
    const draw = createHmac('sha256', key).update(user).digest().readUInt32BE();
    return known[draw % known.length];
  }

  /** `stored` is undefined for a user that does not exist. */
  async function check(stored: string | undefined, { user, password }: Credentials, users: Users): Promise<boolean> {
    const known = stored === undefined ? undefined : parseHash(stored);
    if (known === 'Malformed') throw new Error('the stored scrypt hash is malformed or costs too much');
    const parameters = known ?? pretendedHash(users, user);
    const made = parameters === undefined ? undefined : await hashInTurn(password, parameters);
    if (known !== undefined) return made !== undefined && timingSafeEqual(made, known.hash);
    // A file without content is a Secret made by mistake, not a user without a password.
    return equalText(key, password, stored ?? '') && stored !== undefined && stored !== '';
  }

  return {
    async verify(users, credentials) {
      const stored = users.get(credentials.user);
      const entry = memoryKey(credentials, stored ?? '');
      if (remembered.has(entry)) return 'Right';
      if (queued.length >= maxQueued) return 'Unavailable';
      try {
        if (!(await check(stored, credentials, users))) return 'Wrong';
        remember(entry);
        return 'Right';
      } catch (error) {
        log.error(
          { user: stored === undefined ? 'unknown' : credentials.user, err: error },
          'password cannot be checked',
        );
        return 'Unavailable';
      }
    },
  };
}

/** `$scrypt$ln=15,r=8,p=1$salt$hash`; undefined for a plain password. */
export function parseHash(stored: string): ScryptHash | 'Malformed' | undefined {
  if (!stored.startsWith('$scrypt$')) return undefined;
  const match = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)$/.exec(stored);
  const [, ln, r, p, salt, digest] = match ?? [];
  if (salt === undefined || digest === undefined) return 'Malformed';
  const parsed = {
    cost: 2 ** Number(ln),
    blockSize: Number(r),
    parallelization: Number(p),
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(digest, 'base64'),
  };
  return isSound(parsed) ? parsed : 'Malformed';
}

function isSound({ cost, blockSize, parallelization, hash: { length } }: ScryptHash): boolean {
  const bytes = 128 * cost * blockSize;
  return (
    cost > 1 && bytes > 0 && bytes <= maxMemoryBytes && parallelization > 0 && parallelization <= 16 && length >= 16
  );
}

/** Each hash with other parameters, sorted, so that the choice among them does not depend on the order of the store. */
function costsOf(users: Users): readonly ScryptHash[] {
  const found = new Map<string, ScryptHash>();
  for (const stored of users.values()) {
    const parsed = parseHash(stored);
    if (parsed === undefined || parsed === 'Malformed') continue;
    const { cost, blockSize, parallelization } = parsed;
    found.set(JSON.stringify([cost, blockSize, parallelization]), parsed);
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, parsed]) => parsed);
}

function hash(
  password: string,
  { cost, blockSize, parallelization, salt, hash: { length } }: ScryptHash,
): Promise<Buffer> {
  const options = { N: cost, r: blockSize, p: parallelization, maxmem: 2 * maxMemoryBytes };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, derived) => (error === null ? resolve(derived) : reject(error)));
  });
}

/** Of any two texts, in a time that depends on neither. */
function equalText(key: Buffer, a: string, b: string): boolean {
  const [left, right] = [a, b].map(text => createHmac('sha256', key).update(text).digest());
  return left !== undefined && right !== undefined && timingSafeEqual(left, right);
}
