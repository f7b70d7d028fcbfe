/** What a test does to a KV store on its way. */
export interface KvHooks {
  /** Awaited before a value is read, or several. May throw. */
  beforeRead?: () => Promise<void> | void;
  /** Awaited before a list is read. May throw. */
  beforeList?: () => Promise<void> | void;
  /** Awaited before a single key is set. May throw. */
  beforeSet?: () => Promise<void> | void;
  /** Awaited before a commit takes effect. May throw. */
  beforeCommit?: () => Promise<void> | void;
  /** Awaited when a commit has taken effect. May throw. */
  afterCommit?: () => Promise<void> | void;
  /** What is written in the place of a value. */
  tamper?: (key: Deno.KvKey, value: unknown) => unknown;
}

/** A KV store as the code under test sees it, with hooks that may be changed at any time. */
export function hookedKv(kv: Deno.Kv, hooks: KvHooks): Deno.Kv {
  return new Proxy(kv, {
    get(target, name) {
      if (name === "list") {
        return async function* (...args: Parameters<Deno.Kv["list"]>) {
          await hooks.beforeList?.();
          yield* target.list(...args);
        };
      }
      if (name === "get" || name === "getMany") {
        return async (...args: unknown[]) => {
          await hooks.beforeRead?.();
          return await (Reflect.get(target, name) as (...args: unknown[]) => unknown)
            .apply(target, args);
        };
      }
      if (name === "set") {
        return async (...args: Parameters<Deno.Kv["set"]>) => {
          await hooks.beforeSet?.();
          return await target.set(...args);
        };
      }
      if (name === "atomic") return () => hookedAtomic(target.atomic(), hooks);
      const member = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

function hookedAtomic(atomic: Deno.AtomicOperation, hooks: KvHooks): Deno.AtomicOperation {
  const [commit, set] = [atomic.commit.bind(atomic), atomic.set.bind(atomic)];
  return Object.assign(atomic, {
    async commit() {
      await hooks.beforeCommit?.();
      const result = await commit();
      await hooks.afterCommit?.();
      return result;
    },
    set: (key: Deno.KvKey, value: unknown) => set(key, hooks.tamper?.(key, value) ?? value),
  });
}
