/** Does a call of the store, and what is to be done about it. */
export type Around = <T>(call: () => Promise<T>) => Promise<T>;

/** The methods that call the store. */
const CALLS = new Set<PropertyKey>(["get", "getMany", "set", "delete", "enqueue"]);
/** Where what a method returns is no promise, the method of that which calls the store. */
const LATER: Record<PropertyKey, string> = { atomic: "commit", list: "next" };

/**
 * A KV store whose calls go through something.
 * @param route Asked for each method that is used, by its name: which handle takes it, and around what.
 */
export function callThrough(
  kv: Deno.Kv,
  route: (method: PropertyKey) => { kv: Deno.Kv; around: Around },
): Deno.Kv {
  return new Proxy(kv, {
    get(target, name) {
      const member = Reflect.get(target, name);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        const { kv, around } = route(name);
        const method = Reflect.get(kv, name).bind(kv);
        if (CALLS.has(name)) return around(() => method(...args));
        const result = method(...args);
        const later = LATER[name];
        if (later === undefined) return result;
        const call = result[later].bind(result);
        // Its other methods return the object itself, so this one stays in place however it is used.
        return Object.assign(result, { [later]: () => around(call) });
      };
    },
  });
}
