// Package js has the JavaScript client: one ES module without a dependency and without a
// build step, and its types for TypeScript. [Handler] serves both.
//
//	mux.Handle("/nodebus/", js.Handler())
//
// A page then imports the module from there. The server of package comfy serves it
// already, at /nodebus/nodebus.js.
//
//	import { Client } from "/nodebus/nodebus.js";
//
//	const client = new Client({ url: "/" });
//	client.addEventListener("executed", ({ detail }) => console.log(detail.node, detail.output));
//	const run = await client.wait(await client.submit(graph));
//
// The folder is also a package for bundlers and for Node: nodebus.js, nodebus.d.ts and
// package.json. docs/javascript.md describes the module.
package js
