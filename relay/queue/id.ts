import { randomFillSync } from 'node:crypto';

/** Crockford's base32: no letters that are mistaken for digits. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const timeDigits = 10;
const randomBytes = 10;
const pool = Buffer.alloc(randomBytes * 256);
let used = pool.length;

/**
 * A queue id: 10 base32 digits of the time in milliseconds, then 16 of 80 random bits (the layout of a ULID), so that ids sort by
 * arrival and need no agreement between relays.
 */
export function createQueueId(nowMs: number): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  let id = '';
  let time = nowMs;
  for (let digit = 0; digit < timeDigits; digit++) {
    id = alphabet.charAt(time % 32) + id;
    time = Math.floor(time / 32);
  }
  for (let group = 0; group < randomBytes; group += 5) id += fiveBytes(used + group);
  used += randomBytes;
  return id;
}

function fiveBytes(at: number): string {
  let digits = '';
  let value = pool.readUIntBE(at, 5);
  for (let digit = 0; digit < 8; digit++) {
    digits = alphabet.charAt(value % 32) + digits;
    value = Math.floor(value / 32);
  }
  return digits;
}
