/**
 * Who is to be claimed next, in memory: one slot a tenant and destination with Waiting recipients, never one a recipient.
 *
 *   add, set ──► timed (heap by wake time) ──due──► ready (ring of the tenant; ring of tenants) ──turn──► claim reads its rows
 *                  ▲                                   │
 *                  └──── later, or suspended ──────────┘
 *
 * `dueMs` is exact: the due time of the slot's earliest Waiting recipient. A slot that has none is dropped. A suspended
 * destination's slots wait in the heap for the end of the suspension, so that a claim never steps over them.
 * 100,000 destinations take about 30 MiB here.
 */
import { Heap, type Timed } from './heap.ts';
import { type Linked, Ring } from './ring.ts';

export interface Slot extends Timed, Linked<Slot> {
  readonly tenant: Tenant;
  readonly destination: string;
  dueMs: number;
}

interface Tenant extends Linked<Tenant> {
  readonly name: string;
  readonly slots: Map<string, Slot>;
  readonly ready: Ring<Slot>;
}

export interface SlotAtStart {
  readonly tenant: string;
  readonly destination: string;
  readonly dueMs: number;
}

interface Suspension {
  untilMs: number;
  /** Slots that were met while suspended and wait in the heap for its end. */
  readonly parked: Set<Slot>;
}

export class ReadyIndex {
  readonly #tenants = new Map<string, Tenant>();
  readonly #ready = new Ring<Tenant>();
  readonly #timed = new Heap<Slot>();
  readonly #suspensions = new Map<string, Suspension>();
  #sweepSuspensionsAt = 64;

  /** At start, each slot once. Sorting once takes half the time of the heap's ups and downs. */
  fill(all: Iterable<SlotAtStart>, nowMs: number): void {
    const slots: Slot[] = [];
    for (const { tenant, destination, dueMs } of all) slots.push(this.#make(this.#tenant(tenant), destination, dueMs));
    slots.sort((a, b) => a.dueMs - b.dueMs);
    for (const slot of slots) {
      if (slot.dueMs <= nowMs) this.#toReady(slot);
      else this.#timed.put(slot, slot.dueMs);
    }
  }

  /** A recipient began to wait. */
  add(tenantName: string, destination: string, dueMs: number): void {
    const tenant = this.#tenant(tenantName);
    const slot = tenant.slots.get(destination);
    if (slot === undefined) this.#create(tenant, destination, dueMs);
    else if (dueMs < slot.dueMs) this.#schedule(slot, dueMs);
  }

  /** The earliest due time as read from disk; undefined when no recipient waits. */
  set(tenantName: string, destination: string, dueMs: number | undefined): void {
    const tenant = this.#tenant(tenantName);
    const slot = tenant.slots.get(destination);
    if (dueMs === undefined) {
      if (slot !== undefined) this.#drop(slot);
      else if (tenant.slots.size === 0) this.#tenants.delete(tenantName);
    } else if (slot === undefined) this.#create(tenant, destination, dueMs);
    else this.#schedule(slot, dueMs);
  }

  /** The slot whose turn it is. Its place is given back by `turned`, or for a while by `setAside`. */
  next(nowMs: number): Slot | undefined {
    this.#promote(nowMs);
    for (;;) {
      const slot = this.#ready.first?.ready.first;
      if (slot === undefined || !this.#isSuspended(slot, nowMs)) return slot;
      this.#toTimed(slot, slot.dueMs);
    }
  }

  get readyTenants(): number {
    return this.#ready.size;
  }

  /** The slot had its turn: it, and its tenant, go to the end of their lines. */
  turned(slot: Slot, dueMs: number | undefined, nowMs: number): void {
    const { tenant } = slot;
    this.#unready(slot);
    if (dueMs === undefined) this.#drop(slot);
    else {
      slot.dueMs = dueMs;
      if (dueMs <= nowMs) this.#toReady(slot);
      else this.#toTimed(slot, dueMs);
    }
    if (tenant.inRing) {
      this.#ready.remove(tenant);
      this.#ready.push(tenant);
    }
  }

  /** Out of the lines until `restore`, because its destination has had its share of this claim. */
  setAside(slot: Slot): void {
    this.#unready(slot);
  }

  restore(slots: readonly Slot[]): void {
    for (const slot of slots) this.#toReady(slot);
  }

  suspend(destination: string, untilMs: number, nowMs: number): void {
    const known = this.#suspensions.get(destination);
    if (known !== undefined) {
      known.untilMs = untilMs;
      if (untilMs <= nowMs) this.#suspensions.delete(destination);
      for (const slot of known.parked) this.#schedule(slot, slot.dueMs);
      return;
    }
    if (untilMs <= nowMs) return;
    this.#suspensions.set(destination, { untilMs, parked: new Set() });
    this.#sweepSuspensions(nowMs);
  }

  /** When `next` will have something that it has not now; a past time when it has. */
  nextDueTimeMs(nowMs: number): number | undefined {
    const ready = this.next(nowMs);
    if (ready !== undefined) return ready.dueMs;
    for (;;) {
      const slot = this.#timed.first;
      if (slot === undefined) return undefined;
      const wakeMs = Math.max(slot.dueMs, this.#suspendedUntil(slot));
      if (wakeMs <= slot.wakeMs) return slot.wakeMs;
      this.#toTimed(slot, slot.dueMs);
    }
  }

  /** Looks at each slot: some 2 ms for 100,000. Asked once a scrape. */
  oldestDueTimeMs(nowMs: number): number | undefined {
    let oldest: number | undefined;
    for (const tenant of this.#tenants.values()) {
      for (const slot of tenant.slots.values()) {
        if (slot.dueMs <= nowMs && (oldest === undefined || slot.dueMs < oldest)) oldest = slot.dueMs;
      }
    }
    return oldest;
  }

  #tenant(name: string): Tenant {
    const known = this.#tenants.get(name);
    if (known !== undefined) return known;
    const tenant: Tenant = {
      name,
      slots: new Map(),
      ready: new Ring(),
      before: undefined,
      behind: undefined,
      inRing: false,
    };
    this.#tenants.set(name, tenant);
    return tenant;
  }

  #create(tenant: Tenant, destination: string, dueMs: number): void {
    this.#toTimed(this.#make(tenant, destination, dueMs), dueMs);
  }

  /** In no line yet. */
  #make(tenant: Tenant, destination: string, dueMs: number): Slot {
    const slot: Slot = {
      tenant,
      destination,
      dueMs,
      wakeMs: dueMs,
      heapIndex: -1,
      before: undefined,
      behind: undefined,
      inRing: false,
    };
    tenant.slots.set(destination, slot);
    return slot;
  }

  #drop(slot: Slot): void {
    this.#unready(slot);
    if (slot.heapIndex >= 0) this.#timed.remove(slot);
    this.#suspensions.get(slot.destination)?.parked.delete(slot);
    slot.tenant.slots.delete(slot.destination);
    if (slot.tenant.slots.size === 0) this.#tenants.delete(slot.tenant.name);
  }

  #schedule(slot: Slot, dueMs: number): void {
    slot.dueMs = dueMs;
    if (!slot.inRing || slot.dueMs > slot.wakeMs) this.#toTimed(slot, dueMs);
  }

  #toTimed(slot: Slot, dueMs: number): void {
    this.#unready(slot);
    const suspension = this.#suspensions.get(slot.destination);
    suspension?.parked.add(slot);
    this.#timed.put(slot, Math.max(dueMs, suspension?.untilMs ?? dueMs));
  }

  #toReady(slot: Slot): void {
    slot.tenant.ready.push(slot);
    this.#ready.push(slot.tenant);
  }

  #unready(slot: Slot): void {
    slot.tenant.ready.remove(slot);
    if (slot.tenant.ready.size === 0) this.#ready.remove(slot.tenant);
  }

  #promote(nowMs: number): void {
    for (;;) {
      const slot = this.#timed.first;
      if (slot === undefined || slot.wakeMs > nowMs) return;
      this.#timed.remove(slot);
      this.#suspensions.get(slot.destination)?.parked.delete(slot);
      this.#toReady(slot);
    }
  }

  #suspendedUntil(slot: Slot): number {
    return this.#suspensions.get(slot.destination)?.untilMs ?? 0;
  }

  #isSuspended(slot: Slot, nowMs: number): boolean {
    return this.#suspensions.size > 0 && this.#suspendedUntil(slot) > nowMs;
  }

  /** Suspensions end by time; those that ended are forgotten each time their number has doubled. */
  #sweepSuspensions(nowMs: number): void {
    if (this.#suspensions.size < this.#sweepSuspensionsAt) return;
    for (const [destination, { untilMs }] of this.#suspensions) {
      if (untilMs <= nowMs) this.#suspensions.delete(destination);
    }
    this.#sweepSuspensionsAt = Math.max(64, this.#suspensions.size * 2);
  }
}
