// The connection to the server. It works as in ComfyUI's own front end: a reload of the
// page keeps the client id, and 300 ms after a connection ends, the page opens a new
// connection.

const again = 300;
const kept = "clientId";

export class Socket {
  #id = sessionStorage.getItem(kept) ?? "";
  #watched = new Set();
  #socket;
  #timer;

  // receive is called with the type and the data of each message. state is called with
  // true when a connection opens, and with false when it ends.
  constructor(receive, state) {
    this.receive = receive;
    this.state = state;
    this.#open();
  }

  get id() {
    return this.#id;
  }

  // watch follows a prompt of another client. It opens a new connection, which also
  // receives the earlier events of the prompt.
  watch(prompt) {
    this.#watched.add(prompt);
    this.#open();
  }

  // unwatch stops following a prompt, from the next connection on.
  unwatch(prompt) {
    this.#watched.delete(prompt);
  }

  #open() {
    clearTimeout(this.#timer);
    const query = new URLSearchParams({ clientId: this.#id });
    for (const prompt of this.#watched) query.append("watch", prompt);
    const url = new URL(`ws?${query}`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const old = this.#socket;
    const socket = (this.#socket = new WebSocket(url));
    old?.close();
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "feature_flags", data: { supports_preview_metadata: true } }));
      if (socket === this.#socket) this.state(true);
    };
    socket.onmessage = ({ data }) => socket === this.#socket && this.#take(data);
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      this.state(false);
      this.#timer = setTimeout(() => this.#open(), again);
    };
  }

  #take(frame) {
    const { type, data } = typeof frame === "string" ? JSON.parse(frame) : decode(frame);
    if (type === "status" && data.sid) this.#rename(data.sid);
    this.receive(type, data);
  }

  #rename(id) {
    this.#id = id;
    sessionStorage.setItem(kept, id);
  }
}

// decode reads a binary message: first its type, and then the content for that type.
// Numbers have four bytes, big-endian.
function decode(frame) {
  const number = (at) => new DataView(frame).getUint32(at);
  const text = (from, to) => new TextDecoder().decode(frame.slice(from, to));
  const sized = () => 8 + number(4); // the end of a part that begins with its length
  const picture = (from, type) => new Blob([frame.slice(from)], { type });
  switch (number(0)) {
    case 1:
      return { type: "preview", data: { blob: picture(8, number(4) === 2 ? "image/png" : "image/jpeg") } };
    case 3:
      return { type: "progress_text", data: { node: text(8, sized()), text: text(sized()) } };
    case 4: {
      const about = JSON.parse(text(8, sized()));
      return { type: "preview", data: { ...about, blob: picture(sized(), about.image_type) } };
    }
  }
  return { type: `binary ${number(0)}`, data: { bytes: frame.byteLength - 4 } };
}
