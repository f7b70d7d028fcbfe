import { assertEquals, assertRejects } from "@std/assert";
import { type Query, resolveHost } from "../../src/web/resolve.ts";

const absent = () => Promise.reject(new Deno.errors.NotFound("no record"));

Deno.test("D18: a host has the addresses of its A and AAAA records, whichever there are", async () => {
  const asked: string[] = [];
  const records =
    (v4: () => Promise<string[]>, v6: () => Promise<string[]>): Query => (name, type) => {
      asked.push(`${type} ${name}`);
      return type === "A" ? v4() : v6();
    };
  const [v4, v6] = [() => Promise.resolve(["192.0.2.1"]), () => Promise.resolve(["2001:db8::1"])];
  const four = { address: "192.0.2.1", family: 4 };
  const six = { address: "2001:db8::1", family: 6 };
  assertEquals(await resolveHost("a.example", records(v4, v6)), [four, six]);
  assertEquals(asked, ["A a.example.", "AAAA a.example."]);
  assertEquals(await resolveHost("a.example", records(v4, absent)), [four]);
  assertEquals(await resolveHost("a.example", records(absent, v6)), [six]);
  await assertRejects(
    () => resolveHost("a.example", records(absent, absent)),
    Deno.errors.NotFound,
  );
});

Deno.test("D18: where the name servers may not be asked directly, the system is", async () => {
  const denied = () => Promise.reject(new Deno.errors.NotCapable("Requires net access"));
  const four = { address: "192.0.2.1", family: 4 };
  const bySystem = (hostname: string) => Promise.resolve(hostname === "a.example" ? [four] : []);
  assertEquals(await resolveHost("a.example", denied, bySystem), [four]);
});
