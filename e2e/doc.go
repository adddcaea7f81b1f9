// Package e2e contains only tests. They run ComfyUI clients by other authors against
// the server of package comfy: three JavaScript SDKs, a Go module, Python packages and
// scripts, and the official web front end of today and of a year ago in a headless
// browser. They also read the streams of package sse with curl and with the browser,
// through nginx and without it. They use the JavaScript module
// in pages that are hidden, frozen or busy, behind lines that break, and the pages of
// examples/webpage, of docs/browser.md and, while a process is killed, of
// contrib/nats/examples/cluster. They also run the module's own tests and the suite
// conform.Client on it, measure it, and check its types.
//
// Package hosts, below, runs the server in routers, and behind nginx and Caddy.
// Package chaos, below, kills a program again and again; .ci/run has it as a step of its own.
//
// The flag -repeat=20 runs each client 20 times on new servers, for faults that are a
// matter of chance.
//
// The tests have the build tag e2e because they need Node.js, Python, Chromium, curl,
// nginx, Caddy and packages from npm and PyPI. The script run in this folder installs what is missing
// and starts the tests.
package e2e
