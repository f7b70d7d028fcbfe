import { ConfigError } from "../config.ts";
import { StoreUnavailableError } from "../store/kv/open_kv.ts";
import { WorkerError } from "../workers.ts";

/** An error that the operator can mend: one line, which names what to change. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** Where a listener was to listen, and the settings that say so. */
export interface ListenAddress {
  hostname: string;
  port: number;
  portSetting: "PORT" | "METRICS_PORT";
}

/** What `listen` throws, in words that name the setting. Any other error stays as it is. */
export function explainListenError(error: unknown, address: ListenAddress): unknown {
  const { hostname, port, portSetting } = address;
  const { code = "", name = "", message = "" } = error as Partial<Error & { code: string }>;
  const is = (...names: string[]) => names.includes(code) || names.includes(name);
  if (name === "NotCapable") return error;
  if (is("EADDRINUSE", "AddrInUse")) {
    return new StartError(`port ${port} is in use; set ${portSetting} to another`);
  }
  if (is("EACCES", "EPERM", "PermissionDenied")) {
    return new StartError(
      `this user may not listen on port ${port}; set ${portSetting} to one from 1024 on`,
    );
  }
  if (is("EADDRNOTAVAIL", "AddrNotAvailable", "EINVAL")) {
    return new StartError(`HOST is ${hostname}, which is not an address of this machine`);
  }
  const isUnknown = is("ENOTFOUND", "EAI_AGAIN", "URIError") ||
    /lookup address|getaddrinfo/.test(message);
  if (isUnknown) return new StartError(`HOST is ${hostname}, which has no address`);
  return error;
}

/** What to print when the service does not start: a plain line where it can be mended, else a stack. */
export function explainStartError(error: unknown): string {
  if (error instanceof ConfigError) {
    const mistakes = error.mistakes.map((mistake) => `  - ${mistake}`).join("\n");
    return `Tessera cannot start with these settings:\n${mistakes}`;
  }
  const isPlain = error instanceof StartError || error instanceof StoreUnavailableError ||
    error instanceof WorkerError || error instanceof Deno.errors.NotCapable;
  if (isPlain) return `Tessera cannot start: ${error.message}`;
  return error instanceof Error ? error.stack ?? error.message : String(error);
}
