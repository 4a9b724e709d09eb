/** Where the files of a run meet a cluster, each alone in it. */

export interface Place {
  /** The command that runs a file there. */
  readonly through?: readonly string[];
  /** What the file is told of it. */
  readonly env?: Readonly<Record<string, string>>;
  /** What the names of the file's temporary folders begin with. */
  readonly folderName?: string;
}

/** Gives work a place that nobody else has, and makes one when there is none left. */
export function inPlaces(makePlace: () => Promise<Place>): (work: (place: Place) => Promise<void>) => Promise<void> {
  const free: Place[] = [];
  return async work => {
    const place = free.shift() ?? (await makePlace());
    try {
      await work(place);
    } finally {
      free.push(place);
    }
  };
}
