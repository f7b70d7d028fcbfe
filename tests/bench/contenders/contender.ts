import type { ServerProcess } from "../server_process.ts";
import type { Place } from "../wire/client.ts";

/** What a contender starts with. */
export interface Start {
  /** Where it may keep its files; the same folder again after a restart. */
  folder: string;
  /** More settings. */
  env?: Record<string, string>;
  /** Goes before its command, to run it under something. */
  under?: string[];
}

/** A sync server to be measured. */
export interface Contender {
  readonly name: string;
  /** It keeps documents beyond its own end. */
  readonly durable: boolean;
  /** It keeps documents at all. */
  readonly syncs: boolean;
  /** Fetches what it needs and this machine lacks, which may take minutes. */
  prepare?(): Promise<void>;
  start(start: Start): Promise<Running>;
}

/** A contender that runs. */
export interface Running extends Place {
  readonly process: ServerProcess;
}
