// What may go wrong in the page without being the server's fault.
export const tolerated = [
  // The front end asks its makers for news and for packs of nodes; nothing but
  // the server is let through here.
  /^net::ERR_BLOCKED_BY_CLIENT\.Inspector (GET|POST) https:\/\/api\.comfy\.org\//,
  // The page itself does not want an answer any more, as when it is left.
  /^net::ERR_ABORTED /,
  // User data that nobody has saved. The front end asks for it, and takes 404
  // for "there is none", which is what ComfyUI answers.
  /^404 GET \/api\/userdata\?dir=(workflows|subgraphs)(%2F)?&/,
  /^404 GET \/api\/userdata\/user\.css$/,
  /^404 GET \/api\/userdata\/comfy\.templates\.json$/,
  /^404 GET \/api\/userdata\/workflows%2F\.index\.json$/, // bookmarks
];
