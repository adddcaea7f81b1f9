// An extension of the host's own: it shows the messages of type e2e.note, which
// nodes of the class RefSend send. It listens from the start, since a page that
// is loaded again is sent what it has missed as soon as it is connected.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

api.addEventListener("e2e.note", ({ detail }) => {
  app.extensionManager.toast.add({
    severity: "info",
    summary: `node ${detail.node}`,
    detail: `note ${detail.i + 1} of ${detail.of}`,
  });
});
