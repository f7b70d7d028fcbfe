/** The least that a server can do: hand each frame to the others in the room, and know nothing of it. */
const rooms = new Map<string, Set<WebSocket>>();

const server = Deno.serve({ hostname: "127.0.0.1", port: 0 }, (request) => {
  const { socket, response } = Deno.upgradeWebSocket(request);
  const name = new URL(request.url).pathname;
  const room = rooms.get(name) ?? new Set();
  rooms.set(name, room.add(socket));
  socket.binaryType = "arraybuffer";
  socket.onmessage = ({ data }) => {
    for (const other of room) if (other !== socket) other.send(data);
  };
  socket.onclose = () => room.delete(socket);
  return response;
});

Deno.addSignalListener("SIGTERM", () => Deno.exit(0));
await server.finished;
