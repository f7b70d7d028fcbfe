import { freePort } from "../free_port.ts";
import { assert, assertEquals } from "@std/assert";
import { Authority } from "../did/certificates.ts";
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

/** A proxy that is about to run, with TLS, on a port of `https://localhost`. */
interface Proxy {
  command: Deno.Command;
  /** Who has signed its certificate, in PEM; undefined while that is not known yet. */
  authority(): Promise<string | undefined>;
}

/** What a proxy does with a service behind it: a call and a socket, and for whom it asks. */
async function tryProxy(
  start: (upstream: string, port: number, folder: string) => Promise<Proxy>,
): Promise<void> {
  const folder = await Deno.makeTempDir();
  await using server = await ServerProcess.start({
    KV_PATH: ":memory:",
    UNSAFE_DEV_TOKEN: DEV_TOKEN,
    TRUSTED_PROXIES: "127.0.0.1, ::1",
  });
  const port = freePort();
  const { command, authority } = await start(
    `127.0.0.1:${new URL(server.url).port}`,
    port,
    folder,
  );
  const proxy = command.spawn();
  try {
    let pem: string | undefined;
    await until(async () => {
      await pause(20);
      return (pem = await authority()) !== undefined;
    });
    using client = Deno.createHttpClient({ caCerts: [pem!] });
    const url = `https://localhost:${port}`;
    await until(async () => {
      const answer = await fetch(`${url}/livez`, { client }).catch(() => null);
      await answer?.body?.cancel();
      await pause(20);
      return answer?.ok ?? false;
    });
    const room = `at://${ALICE}/app.notes/a b`;
    const proxied = { url, socketUrl: url.replace("http", "ws") };
    const alice = await connectPeer(proxied, ALICE, room, client);
    alice.text.insert(0, "hello");
    alice.probe(1);
    await alice.hears("ack 1");
    const bob = await connectPeer(server, ALICE, room);
    await bob.hears("step2");
    assertEquals(bob.text.toString(), "hello");
    alice.leave();
    bob.leave();
    const calls = server.log.filter((line) => line.includes("getTicket"));
    assert(calls.length > 0 && calls.every((line) => LOOPBACK.test(JSON.parse(line).address)));
    // What is too large is refused by Tessera, in words.
    const large = await fetch(`${url}/xrpc/chat.roomy.v0.sync.getTicket`, {
      method: "POST",
      body: "x".repeat(20_000),
      headers: { authorization: `Bearer ${DEV_TOKEN}` },
      client,
    });
    assertEquals([large.status, JSON.parse(await large.text()).error], [413, "PayloadTooLarge"]);
    await forgeAddress(url, client, server);
    await dripTo(port, pem!);
  } finally {
    proxy.kill();
    await proxy.status;
    await Deno.remove(folder, { recursive: true });
  }
}

const LOOPBACK = /^(127\.0\.0\.1|::1)$/;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Claims to be somebody else, in every header that a proxy might pass on. */
async function forgeAddress(
  url: string,
  client: Deno.HttpClient,
  server: ServerProcess,
): Promise<void> {
  const response = await fetch(`${url}/nothing/here`, {
    client,
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
  assert(LOOPBACK.test(JSON.parse(event()!).address), event());
  assert(!server.log.some((line) => line.includes("203.0.113.9")));
}

/** Sends the head of a request, a letter each second: resolves when it is cut off. */
async function dripTo(port: number, authority: string): Promise<void> {
  using line = await Deno.connectTls({ hostname: "localhost", port, caCerts: [authority] });
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
    await tryProxy(async (upstream, port, folder) => {
      // As it is, but it leaves this machine's certificates and port 80 alone.
      const config = (await Deno.readTextFile(deploy("Caddyfile")))
        .replace(/^\{/, "{\n\tskip_install_trust\n\tauto_https disable_redirects");
      await Deno.writeTextFile(`${folder}/Caddyfile`, config);
      const command = new Deno.Command(caddy, {
        args: ["run", "--adapter", "caddyfile", "--config", `${folder}/Caddyfile`],
        env: {
          SYNC_HOST: `https://localhost:${port}`,
          UPSTREAM: upstream,
          HOME: folder,
          XDG_DATA_HOME: folder,
          XDG_CONFIG_HOME: folder,
          CADDY_ADMIN: `127.0.0.1:${freePort()}`,
        },
        stderr: "null",
      });
      const root = `${folder}/caddy/pki/authorities/local/root.crt`;
      return { command, authority: () => Deno.readTextFile(root).catch(() => undefined) };
    });
  },
);

testReal(
  "K4: nginx passes sockets and calls on, as deploy/nginx.conf has it",
  nginx,
  async (nginx) => {
    await tryProxy(async (upstream, port, folder) => {
      const authority = await Authority.create();
      const { cert, key } = await authority.issue("localhost");
      await Deno.writeTextFile(`${folder}/cert.pem`, cert);
      await Deno.writeTextFile(`${folder}/key.pem`, key);
      const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map((name) => `${name}_temp_path ${folder}/${name};`).join("\n");
      // As it is, but for what belongs to the machine: the user, paths, ports and the certificate.
      const config = (await Deno.readTextFile(deploy("nginx.conf")))
        .replace(/^user .*;$/m, "daemon off;")
        .replace("/run/nginx.pid", `${folder}/pid; error_log ${folder}/error.log`)
        .replace("http {", `http {\n${paths}`)
        .replace("127.0.0.1:8000", upstream)
        .replace(/^ *listen (\[::\]:)?80;$/gm, "")
        .replace("return 308", `listen 127.0.0.1:${freePort()};\n return 308`)
        .replace("listen 443 ", `listen 127.0.0.1:${port} `)
        .replace("listen [::]:443 ", `listen [::1]:${port} `)
        .replace(/ssl_certificate .*;/, `ssl_certificate ${folder}/cert.pem;`)
        .replace(/ssl_certificate_key .*;/, `ssl_certificate_key ${folder}/key.pem;`);
      await Deno.writeTextFile(`${folder}/nginx.conf`, config);
      const command = new Deno.Command(nginx, {
        args: ["-c", `${folder}/nginx.conf`],
        stderr: "null",
      });
      return { command, authority: () => Promise.resolve(authority.pem) };
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
