/** A relay under test: what it is told, and what the bench needs to know of it. */

export interface Task {
  /** An empty folder that other users may pass through. */
  readonly folder: string;
  readonly sinkPort: number;
  /** Most sessions that the generator opens at once. */
  readonly sessions: number;
  /** More than one: by MX (or its like), else to the sink as smart host. */
  readonly destinations: number;
  /** Offers STARTTLS with this certificate. */
  readonly tls: { readonly certificateFile: string; readonly privateKeyFile: string } | undefined;
  /** Signs for example.com with this RSA key. */
  readonly dkimKeyFile: string | undefined;
}

export interface Contender extends AsyncDisposable {
  readonly name: string;
  /** Of each of its processes that takes mail: the load is spread over them. */
  readonly ports: readonly number[];
  /** The processes whose trees are the relay's cost. */
  readonly pids: readonly number[];
  /** What it says of itself after a run of so many messages, for the notes: such as event-loop lag. */
  remarks?(messages: number): Promise<string>;
}

export interface ContenderKind {
  readonly name: string;
  start(task: Task): Promise<Contender>;
  /** With its version; undefined with a printed reason when it cannot run here. */
  prepare(say: (line: string) => void): Promise<string | undefined>;
  /** Why it sits a task out. */
  refuses?(task: Pick<Task, 'tls' | 'dkimKeyFile' | 'destinations'>): string | undefined;
}
