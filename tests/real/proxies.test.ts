import { freePort } from "../free_port.ts";
import { assert, assertEquals } from "@std/assert";
import { ALICE, connectPeer, DEV_TOKEN } from "../outside/clients.ts";
import { ServerProcess } from "../outside/server_process.ts";
import { until } from "../until.ts";
import { testReal } from "./real_test.ts";

const deploy = (name: string) => new URL(`../../deploy/${name}`, import.meta.url).pathname;

/** A program, if it is here. */
async function find(program: string): Promise<string | null> {
  try {
    await new Deno.Command(program, { args: ["--help"], stderr: "null" }).output();
    return program;
  } catch {
    console.error(`SKIPPED: there is no ${program} here. Debian's package brings it.`);
    return null;
  }
}

const [caddy, nginx, systemd] = [
  await find("caddy"),
  await find("nginx"),
  await find("systemd-analyze"),
];

/** What a proxy does with a service behind it: a call and a socket, and for whom it asks. */
async function tryProxy(
  start: (upstream: string, port: number, folder: string) => Promise<Deno.Command>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  await using server = await ServerProcess.start({
    KV_PATH: ":memory:",
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
    TRUSTED_PROXIES: "127.0.0.1, ::1",
  });
  const port = freePort();
  const proxy = (await start(`127.0.0.1:${new URL(server.url).port}`, port, folder)).spawn();
  try {
    const url = `http://127.0.0.1:${port}`;
    await until(async () => {
      const answer = await fetch(`${url}/livez`).catch(() => null);
      await answer?.body?.cancel();
      await new Promise((resolve) => setTimeout(resolve, 20));
      return answer?.ok ?? false;
    });
    const room = `at://${ALICE}/app.notes/a b`;
    const alice = await connectPeer({ url, socketUrl: url.replace("http", "ws") }, ALICE, room);
    alice.text.insert(0, "hello");
    alice.probe(1);
    await alice.hears("ack 1");
    const bob = await connectPeer(server, ALICE, room);
    await bob.hears("step2");
    assertEquals(bob.text.toString(), "hello");
    alice.leave();
    bob.leave();
    const calls = server.log.filter((line) => line.includes("getTicket"));
    assert(calls.length > 0 && calls.every((line) => JSON.parse(line).address === "127.0.0.1"));
    await forgeAddress(url, server);
    await dripTo(port);
  } finally {
    proxy.kill();
    await proxy.status;
    await Deno.remove(folder, { recursive: true });
  }
}

/** Claims to be somebody else, in every header that a proxy might pass on. */
async function forgeAddress(url: string, server: ServerProcess): Promise<void> {
  const response = await fetch(`${url}/nothing/here`, {
    headers: {
      "forwarded": "for=203.0.113.9;proto=https",
      "x-forwarded-for": "203.0.113.9",
      "x-real-ip": "203.0.113.9",
      "cf-connecting-ip": "203.0.113.9",
    },
  });
  await response.body?.cancel();
  const id = response.headers.get("x-request-id")!;
  const event = () => server.log.find((line) => line.includes(id));
  await until(() => event() !== undefined);
  assertEquals(JSON.parse(event()!).address, "127.0.0.1");
  assert(!server.log.some((line) => line.includes("203.0.113.9")));
}

/** Sends the head of a request, a letter each second: resolves when it is cut off. */
async function dripTo(port: number): Promise<void> {
  using line = await Deno.connect({ hostname: "127.0.0.1", port });
  await line.write(new TextEncoder().encode("GET / HTTP/1.1\r\nhost: x\r\nx-drip: "));
  const dripping = setInterval(() => line.write(new Uint8Array([97])).catch(() => {}), 1_000);
  try {
    while (await line.read(new Uint8Array(1_000)) !== null);
  } catch {
    // It was cut off, and not gently.
  } finally {
    clearInterval(dripping);
  }
}

testReal(
  "K4: Caddy passes sockets and calls on, as deploy/Caddyfile has it",
  caddy,
  async (caddy) => {
    await tryProxy((upstream, port, folder) =>
      Promise.resolve(
        new Deno.Command(caddy, {
          args: ["run", "--adapter", "caddyfile", "--config", deploy("Caddyfile")],
          env: {
            SYNC_HOST: `http://127.0.0.1:${port}`,
            UPSTREAM: upstream,
            HOME: folder,
            XDG_DATA_HOME: folder,
            XDG_CONFIG_HOME: folder,
            CADDY_ADMIN: `127.0.0.1:${freePort()}`,
          },
          stderr: "null",
        }),
      )
    );
  },
);

testReal(
  "K4: nginx passes sockets and calls on, as deploy/nginx.conf has it",
  nginx,
  async (nginx) => {
    await tryProxy(async (upstream, port, folder) => {
      // As it is but for the certificate, which nobody has for this machine.
      const site = (await Deno.readTextFile(deploy("nginx.conf")))
        .replace("127.0.0.1:8000", upstream)
        .replace("listen 443 ssl;", `listen 127.0.0.1:${port};`)
        .replace(/^ *(ssl_certificate.*|http2 on;)$/gm, "");
      const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((name) => `${name}_temp_path ${folder}/${name};`).join("\n");
      await Deno.writeTextFile(
        `${folder}/nginx.conf`,
        `daemon off; pid ${folder}/pid; error_log ${folder}/error.log;
      events {} http { access_log off; ${paths} ${site} }`,
      );
      return new Deno.Command(nginx, { args: ["-c", `${folder}/nginx.conf`], stderr: "null" });
    });
  },
);

testReal("K3: the systemd unit verifies", systemd, async (systemd) => {
  const folder = await Deno.makeTempDir();
  const unit = (await Deno.readTextFile(deploy("tessera.service")))
    .replaceAll("/usr/local/bin/deno", Deno.execPath())
    .replaceAll("/opt/tessera", folder);
  await Deno.writeTextFile(`${folder}/tessera.service`, unit);
  const { code, stderr } = await new Deno.Command(systemd, {
    args: ["verify", "--man=no", `${folder}/tessera.service`],
  }).output();
  const said = new TextDecoder().decode(stderr).split("\n")
    .filter((line) => line.includes("tessera.service"));
  assertEquals([code, said], [0, []]);
  await Deno.remove(folder, { recursive: true });
});
