import project from "../../deno.json" with { type: "json" };
import { json } from "./answers.ts";
import type { Exchange } from "./exchange.ts";
import type { Face } from "./parts.ts";

/** Who this is, for a program or for a person. */
export function home({ request }: Exchange, face: Face): Response {
  const about = {
    name: "Tessera",
    version: project.version,
    did: face.serviceDid,
    links: {
      didDocument: `${face.publicUrl}/.well-known/did.json`,
      lexicons: `${face.publicUrl}/lexicons`,
      getTicket: `${face.publicUrl}/xrpc/${face.nsidPrefix}.getTicket`,
      sync: `${face.publicUrl.replace(/^http/, "ws")}/sync/`,
      health: `${face.publicUrl}/readyz`,
    },
  };
  const wantsPage = request.headers.get("accept")?.includes("text/html") ?? false;
  const response = wantsPage ? page(about) : json(about);
  response.headers.set("vary", "accept");
  return response;
}

type About = { name: string; version: string; did: string; links: Record<string, string> };

function page({ name, version, did, links }: About): Response {
  const rows = Object.entries(links).map(([what, url]) =>
    `<dt>${what}</dt><dd>${url.startsWith("http") ? `<a href="${url}">${url}</a>` : url}</dd>`
  ).join("\n");
  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${name}</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 42rem; margin: 4rem auto; padding: 0 1rem }
dt { margin-top: .75rem; opacity: .7 }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, monospace }
</style>
<h1>${name} <small>${version}</small></h1>
<p>A sync service for collaborative apps on the AT Protocol.</p>
<dl>
<dt>DID</dt><dd>${did}</dd>
${rows}
</dl>
</html>
`;
  return new Response(html, { headers: { "content-type": "text/html; charset=utf-8" } });
}
